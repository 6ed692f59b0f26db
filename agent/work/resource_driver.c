/*
 *     RUN/VM.resource   what poolherd-resource is to start (0600: parameters may be secrets)
 *        /VM.ready      its answer: empty, or why it could not
 *        /VM.release    how it is stopped: run by the guard at the end of the lease, by the agent before the pool's
 *                       data is released, if it is still there; there from before its start until it is stopped
 *
 * A resource need not be a process (an address, a mount), so killing is not enough: as long as VM.release exists, the
 * pool is not let go of.
 */
#include "agent/work/resource_driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/ocf/ocf.h"
#include "agent/work/command.h"
#include "agent/work/run.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/program.h"
#include "proto/codec.h"
#include "proto/qemu.h"
#include "proto/resource.h"

#define READY_PAUSE_MS 10
#define READY_MS                                                                                   \
    25000 /* after which it is said to run; if it then does not start after all, it ends */

static int probe(struct ph_error *error)
{
    struct ph_texts agents = {0, NULL};
    char program[PATH_MAX];
    int rv = ph_ocf_list(&agents);
    bool any = rv == 0 && agents.count > 0;
    ph_texts_fini(&agents);
    if (!any) {
        ph_error_set(error, PH_FAILED, NULL,
            "there are no OCF resource agents here (Debian: resource-agents)");
        return -ENOTSUP;
    }
    if (ph_program_beside("poolherd-resource", program) != 0) {
        ph_error_set(
            error, PH_FAILED, NULL, "poolherd-resource is not installed beside this program");
        return -ENOTSUP;
    }
    return 0;
}

static int check(const struct ph_vm *vm, struct ph_error *error)
{
    struct ph_resource resource = {0};
    struct ph_error why = {0};
    int rv = ph_resource_of(vm, &resource, error);
    if (rv == 0 && (rv = ph_resource_check(&resource, &why)) != 0) {
        char field[128];
        ph_text_format(field, sizeof field, "ocf.%.100s", why.field);
        ph_error_set(error, PH_BAD_INPUT, field, "%s", why.message);
    }
    ph_record_fini(&ph_record_resource, &resource);
    return rv;
}

static int file_of(const struct ph_work_context *context, const char *ending, char out[PATH_MAX])
{
    char name[PH_NAME_BYTES_MAX + 16];
    ph_text_format(name, sizeof name, "%s.%s", context->vm->name, ending);
    return ph_path_join(out, PATH_MAX, context->run_directory, name);
}

static void instance_of(const struct ph_work_context *context, char out[2 * PH_NAME_BYTES_MAX + 16])
{
    ph_text_format(
        out, 2 * PH_NAME_BYTES_MAX + 16, "poolherd-%s-%s", context->pool->name, context->vm->name);
}

/* ---- start */

/* The parameters with their placeholders filled in, in the place of the declared ones. */
static int fill_in(const struct ph_work_context *context, struct ph_resource *resource)
{
    struct ph_vm borrowed = *context->vm;
    struct ph_work_context own = *context;
    struct ph_command command = {NULL, NULL, NULL};
    struct ph_texts filled = {0, NULL};
    if (resource->parameters.count == 0)
        return 0;
    borrowed.command = resource->parameters;
    own.vm = &borrowed;
    int rv = ph_command_make(&own, &command);
    for (size_t i = 0; rv == 0 && command.argv[i] != NULL; i++)
        rv = ph_texts_add(&filled, command.argv[i]);
    ph_command_fini(&command);
    if (rv != 0) {
        ph_texts_fini(&filled);
        return rv;
    }
    ph_texts_fini(&resource->parameters);
    resource->parameters = filled;
    return 0;
}

/* Everything that has to be known before its first instruction: to the guard, and to an agent that comes after. */
static int write_files(const struct ph_work_context *context, const struct ph_resource *resource,
    const char *instance, struct ph_error *error)
{
    struct ph_ocf ocf = {.agent = resource->agent,
        .instance = instance,
        .parameters = &resource->parameters,
        .timeout_ms =
            (uint32_t)(resource->timeout_s > 0 ? resource->timeout_s : PH_RESOURCE_TIMEOUT_S) *
            1000};
    char path[PATH_MAX], *text = NULL;
    size_t bytes = 0;
    int rv = file_of(context, "ready", path);
    if (rv == 0 && unlink(path) != 0 && errno != ENOENT)
        rv = -errno;
    if (rv == 0)
        rv = ph_encode(&ph_record_resource, resource, PH_ENCODE_WIRE, &text, &bytes);
    if (rv == 0)
        rv = file_of(context, "resource", path);
    if (rv == 0)
        rv = ph_file_replace(path, text, bytes, 0600);
    free(text);
    if (rv == 0)
        rv = file_of(context, "release", path);
    if (rv == 0)
        rv = ph_ocf_write_release(&ocf, path, error);
    if (rv != 0)
        return rv;
    rv = ph_guard_add_release(context->guard, context->pool->name, path);
    if (rv != 0) {
        unlink(path); /* nothing has been started */
        ph_error_set(error, rv == -ESTALE ? PH_STATE_FORBIDS : PH_FAILED, NULL,
            rv == -ESTALE ? "the lease has ended" : "the guard did not take its release in: %s",
            strerror(-rv));
    }
    return rv;
}

/* In the node's own namespaces: the guard, which stops it, is there too, and so pids in files mean the same. */
static int launch(const struct ph_work_context *context, const char *instance,
    struct ph_work_process *process_out, struct ph_error *error)
{
    struct ph_work_context own = *context;
    struct ph_command command = {NULL, NULL, NULL};
    struct ph_texts words = {0, NULL};
    char program[PATH_MAX], file[PATH_MAX], ready[PATH_MAX];
    own.space = NULL;
    int rv = ph_program_beside("poolherd-resource", program);
    if (rv == 0)
        rv = file_of(context, "resource", file);
    if (rv == 0)
        rv = file_of(context, "ready", ready);
    const char *const list[] = {program, file, instance, ready};
    for (size_t i = 0; rv == 0 && i < sizeof list / sizeof list[0]; i++)
        rv = ph_texts_add(&words, list[i]);
    if (rv == 0)
        rv = ph_command_make_plain(&own, &words, &command);
    if (rv == 0)
        rv = ph_run_start(&own, &command, "/", process_out, error);
    ph_texts_fini(&words);
    ph_command_fini(&command);
    return rv;
}

static int await_ready(const struct ph_work_context *context, const struct ph_work_process *process,
    struct ph_error *error)
{
    uint64_t until_ms = ph_clock_boot_ms() + READY_MS;
    char path[PATH_MAX], shown[400], *text = NULL;
    int rv = file_of(context, "ready", path);
    while (rv == 0 && text == NULL) {
        bool ended = ph_run_ended(process, READY_PAUSE_MS);
        rv = ph_file_read(path, 4096, &text, NULL);
        if (rv == -ENOENT && !ended)
            rv = 0;
        if (text == NULL && ph_clock_boot_ms() >= until_ms)
            return 0;
    }
    if (rv == 0 && text[0] != '\0') {
        ph_error_set(error, PH_FAILED, NULL, "%s", ph_text_printable(shown, sizeof shown, text));
        rv = -EIO;
        /* It stops what it half started, and ends. */
        while (!ph_run_ended(process, 100) && ph_clock_boot_ms() < until_ms)
            ;
    } else if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "it ended before the resource was started; see %s",
            context->log_path);
    }
    free(text);
    return rv;
}

static int start(const struct ph_work_context *context, struct ph_work_process *process_out,
    struct ph_error *error)
{
    struct ph_resource resource = {0};
    struct ph_work_process process = {.pid_fd = -1};
    char instance[2 * PH_NAME_BYTES_MAX + 16], program[PATH_MAX];
    instance_of(context, instance);
    if (context->cgroup[0] == '\0') {
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "a resource agent's processes can be held only in a cgroup: this node has no cgroup v2 "
            "for it");
        return -ENOTSUP;
    }
    int rv = check(context->vm, error);
    if (rv == 0)
        rv = ph_resource_of(context->vm, &resource, error);
    if (rv == 0)
        rv = ph_ocf_find(resource.agent, program, error);
    if (rv == 0)
        rv = ph_directory_make(context->run_directory);
    if (rv == 0)
        rv = fill_in(context, &resource);
    if (rv == 0)
        rv = write_files(context, &resource, instance, error);
    if (rv == 0)
        rv = launch(context, instance, &process, error);
    if (rv == 0 && (rv = await_ready(context, &process, error)) != 0)
        ph_run_give_up(context, &process);
    if (rv != 0 && error->message[0] == '\0')
        ph_error_set(
            error, PH_FAILED, NULL, "%s cannot be prepared: %s", context->vm->name, strerror(-rv));
    if (rv == 0)
        *process_out = process;
    ph_record_fini(&ph_record_resource, &resource);
    return rv;
}

/* ---- stop */

static int stop_resource(const struct ph_work_context *context, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv = file_of(context, "release", path);
    return rv != 0 ? rv
                   : ph_ocf_run_release(path, (uint32_t)ph_stop_timeout_ms(context->vm), error);
}

/* As the resource agent does it, while all of it is alive. One that fails is tried again once all is killed. */
static void stop_politely(
    const struct ph_work_context *context, const struct ph_work_process *process)
{
    struct ph_error error = {0};
    (void)process;
    (void)stop_resource(context, &error);
}

static int stop(
    const struct ph_work_context *context, struct ph_work_process *process, struct ph_error *error)
{
    if (process->pid == 0)
        stop_politely(context, process);
    int rv = ph_run_stop(context, process, stop_politely, error);
    return rv != 0 ? rv : stop_resource(context, error);
}

const struct ph_work_driver ph_work_driver_ocf = {.name = "ocf",
    .probe = probe,
    .check = check,
    .start = start,
    .stop = stop,
    .adopt = ph_run_adopt};
