#include "agent/work/container_driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/work/container.h"
#include "agent/work/run.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/program.h"
#include "proto/container.h"

#define READY_MS 10000 /* crun makes a container in some 100 ms */
#define READY_PAUSE_MS 5

static int probe(struct ph_error *error)
{
    char program[PATH_MAX];
    if (geteuid() != 0) {
        ph_error_set(error, PH_NOT_ALLOWED, NULL, "needs root: containers have namespaces");
        return -ENOTSUP;
    }
    if (!ph_program_on_path("crun")) {
        ph_error_set(error, PH_FAILED, NULL, "crun is not installed (Debian: crun)");
        return -ENOTSUP;
    }
    if (ph_program_beside("poolherd-container", program) != 0) {
        ph_error_set(
            error, PH_FAILED, NULL, "poolherd-container is not installed beside this program");
        return -ENOTSUP;
    }
    return 0;
}

static int check(const struct ph_vm *vm, struct ph_error *error)
{
    struct ph_container container = {0};
    struct ph_error why = {0};
    int rv = ph_command_check(vm, error);
    if (rv == 0)
        rv = ph_container_of(vm, &container, error);
    if (rv == 0 && (rv = ph_container_check(&container, &why)) != 0) {
        char field[128];
        ph_text_format(field, sizeof field, "container.%.100s", why.field);
        ph_error_set(error, PH_BAD_INPUT, field, "%s", why.message);
    }
    ph_record_fini(&ph_record_container, &container);
    return rv;
}

/* ---- the bundle */

/* What is named in the pool as the node has it. A symbolic link that leads out of the pool is refused: a container
 * that can write there could else give itself any part of the node. */
static int resolve(const struct ph_work_context *context, const char *name, const char *field,
    char out[PATH_MAX], struct ph_error *error)
{
    char path[PATH_MAX], pool[PATH_MAX];
    int rv = ph_path_join(path, sizeof path, context->pool_path, name);
    if (rv == 0 && (realpath(path, out) == NULL || realpath(context->pool_path, pool) == NULL))
        rv = -errno;
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, field, "%s in the pool: %s", name, strerror(-rv));
        return rv;
    }
    size_t bytes = strlen(pool);
    if (strncmp(out, pool, bytes) == 0 && (out[bytes] == '/' || out[bytes] == '\0'))
        return 0;
    ph_error_set(error, PH_NOT_ALLOWED, field, "%s leads out of the pool, to %s", name, out);
    return -EACCES;
}

static int resolve_all(const struct ph_work_context *context, const struct ph_container *container,
    char root[PATH_MAX], struct ph_texts *sources, struct ph_error *error)
{
    char name[PH_NAME_BYTES_MAX + 8], path[PATH_MAX], field[64];
    struct stat status;
    ph_text_format(name, sizeof name, "%s.root", context->vm->name);
    const char *wanted = container->root != NULL ? container->root : name;
    int rv = resolve(context, wanted, "container.root", root, error);
    if (rv == 0 && (stat(root, &status) != 0 || !S_ISDIR(status.st_mode)))
        return ph_error_set(error, PH_FAILED, "container.root",
            "%s in the pool is no directory; a container's file system is one", wanted);
    for (size_t i = 0; rv == 0 && i < container->mounts.count; i++) {
        struct ph_container_mount mount;
        ph_text_format(field, sizeof field, "container.mounts[%zu]", i);
        if (!ph_container_mount_parse(container->mounts.items[i], &mount))
            return -EINVAL;
        rv = resolve(context, mount.source, field, path, error);
        if (rv == 0)
            rv = ph_texts_add(sources, path);
    }
    return rv;
}

static int bundle_path(const struct ph_work_context *context, const char *file, char out[PATH_MAX])
{
    char name[PH_NAME_BYTES_MAX + 32];
    ph_text_format(
        name, sizeof name, "%s.bundle%s%s", context->vm->name, file[0] == '\0' ? "" : "/", file);
    return ph_path_join(out, PATH_MAX, context->run_directory, name);
}

static int make_bundle(const struct ph_work_context *context, const struct ph_container *container,
    struct ph_error *error)
{
    struct ph_command command = {NULL, NULL, NULL};
    struct ph_texts sources = {0, NULL};
    char root[PATH_MAX], path[PATH_MAX], *text = NULL;
    int rv = resolve_all(context, container, root, &sources, error);
    if (rv == 0)
        rv = ph_command_make(context, &command);
    if (rv == 0)
        rv = ph_container_config(context->vm, container, &command, root, &sources, &text);
    if (rv == 0)
        rv = bundle_path(context, "", path);
    if (rv == 0)
        rv = ph_directory_make(path);
    if (rv == 0)
        rv = bundle_path(context, "pid", path);
    if (rv == 0 && unlink(path) != 0 && errno != ENOENT)
        rv = -errno;
    if (rv == 0)
        rv = bundle_path(context, "config.json", path);
    if (rv == 0)
        rv = ph_file_replace(path, text, strlen(text), 0600);
    free(text);
    ph_texts_fini(&sources);
    ph_command_fini(&command);
    return rv;
}

/* ---- start */

/* crun itself is run with nothing of what the container is to get: a variable could tell it to load a library. */
static int make_command(const struct ph_work_context *context, struct ph_command *command_out)
{
    struct ph_vm plain = *context->vm;
    struct ph_work_context own = *context;
    struct ph_texts words = {0, NULL};
    char program[PATH_MAX], bundle[PATH_MAX];
    plain.environment = (struct ph_texts){0, NULL};
    own.vm = &plain;
    int rv = ph_program_beside("poolherd-container", program);
    if (rv == 0)
        rv = bundle_path(context, "", bundle);
    const char *const list[] = {program, bundle, context->vm->name};
    for (size_t i = 0; rv == 0 && i < sizeof list / sizeof list[0]; i++)
        rv = ph_texts_add(&words, list[i]);
    if (rv == 0)
        rv = ph_command_make_plain(&own, &words, command_out);
    ph_texts_fini(&words);
    return rv;
}

/* Waits until the container exists. */
static int await_ready(const struct ph_work_context *context, const struct ph_work_process *process,
    off_t log_from, struct ph_error *error)
{
    uint64_t until_ms = ph_clock_boot_ms() + READY_MS;
    char path[PATH_MAX], said[400];
    int rv = bundle_path(context, "pid", path);
    if (rv != 0)
        return rv;
    for (;;) {
        bool ended = ph_run_ended(process, READY_PAUSE_MS);
        if (access(path, F_OK) == 0)
            return 0;
        if (!ended && ph_clock_boot_ms() < until_ms)
            continue;
        if (!ended)
            ph_error_set(error, PH_FAILED, NULL, "crun made no container within %d s; see %s",
                READY_MS / 1000, context->log_path);
        else if (ph_run_last_line(context, log_from, said, sizeof said))
            ph_error_set(error, PH_FAILED, NULL, "crun ended at once: %s", said);
        else
            ph_error_set(error, PH_FAILED, NULL, "crun ended at once; see %s", context->log_path);
        return -EIO;
    }
}

static int start(const struct ph_work_context *context, struct ph_work_process *process_out,
    struct ph_error *error)
{
    struct ph_container container = {0};
    struct ph_command command = {NULL, NULL, NULL};
    struct ph_work_process process = {.pid_fd = -1};
    off_t log_from = ph_run_log_end(context);
    int rv = check(context->vm, error);
    if (rv == 0)
        rv = ph_container_of(context->vm, &container, error);
    if (rv == 0)
        rv = ph_directory_make(context->run_directory);
    if (rv == 0)
        rv = make_bundle(context, &container, error);
    if (rv == 0)
        rv = make_command(context, &command);
    if (rv != 0 && error->message[0] == '\0')
        ph_error_set(
            error, PH_FAILED, NULL, "%s cannot be prepared: %s", context->vm->name, strerror(-rv));
    if (rv == 0)
        rv = ph_run_start(context, &command, "/", &process, error);
    if (rv == 0 && (rv = await_ready(context, &process, log_from, error)) != 0)
        ph_run_give_up(context, &process);
    if (rv == 0)
        *process_out = process;
    ph_command_fini(&command);
    ph_record_fini(&ph_record_container, &container);
    return rv;
}

static int stop(
    const struct ph_work_context *context, struct ph_work_process *process, struct ph_error *error)
{
    return ph_run_stop(context, process, ph_run_signal, error);
}

const struct ph_work_driver ph_work_driver_container = {.name = "container",
    .probe = probe,
    .check = check,
    .start = start,
    .stop = stop,
    .adopt = ph_run_adopt};
