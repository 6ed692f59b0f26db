/*
 * Reset, pause, resume: one command each. Snapshots: a job of QEMU's own, named after the operation's number and
 * left with QEMU when it has concluded, so that an agent that was killed meanwhile finds it and its outcome. It is
 * dismissed by the next operation, which does not begin before the outcome is durable.
 */
#include "agent/work/qemu_operate.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "agent/work/qemu_machine.h"
#include "agent/work/qmp.h"
#include "base/clock.h"
#include "proto/qemu.h"

#define COMMAND_MS 10000
#define SNAPSHOT_MS                                                                                \
    270000 /* memory is written at the disk's pace; within the core's limit of 5 minutes */
#define LOOK_AGAIN_MS 20
#define JOB_PREFIX "ph-"

struct session {
    const struct ph_work_context *context;
    const struct ph_operation *operation;
    struct ph_qemu qemu;
    struct ph_qmp qmp;
    char job[32];
};

static int session_open(struct session *session, uint32_t limit_ms, struct ph_error *error)
{
    const struct ph_work_context *context = session->context;
    char name[PH_NAME_BYTES_MAX + 16];
    int rv = ph_qemu_of(context->vm, &session->qemu, error);
    ph_text_format(name, sizeof name, "%s%s", context->vm->name, PH_QEMU_TASK_SOCKET);
    ph_text_format(session->job, sizeof session->job, JOB_PREFIX "%lld",
        (long long)session->operation->number);
    return rv != 0 ? rv : ph_qmp_open(&session->qmp, context->run_directory, name, limit_ms, error);
}

static void session_close(struct session *session)
{
    ph_qmp_close(&session->qmp);
    ph_record_fini(&ph_record_qemu, &session->qemu);
}

static int ask(struct session *session, const char *command, json_t *arguments, json_t **value_out,
    struct ph_error *error)
{
    return ph_qmp_execute(&session->qmp, command, arguments, COMMAND_MS, value_out, error);
}

/* What has happened is said in the same place as what has not. */
static int done(struct ph_error *error, const char *text)
{
    ph_error_set(error, PH_FAILED, NULL, "%s", text);
    return 0;
}

/* ---- processors */

static int processors(struct session *session, struct ph_error *error)
{
    enum ph_vm_operation operation = session->operation->operation;
    bool reset = operation == PH_OPERATION_RESET, pause = operation == PH_OPERATION_PAUSE;
    int rv = ask(session, reset ? "system_reset" : pause ? "stop" : "cont", NULL, NULL, error);
    return rv != 0 ? rv
                   : done(error, reset   ? "the machine was reset"
                                 : pause ? "the guest is paused"
                                         : "the guest runs on");
}

static int look_at_processors(struct session *session, struct ph_error *error)
{
    json_t *status = NULL;
    int rv = ask(session, "query-status", NULL, &status, error);
    if (rv != 0)
        return rv;
    bool running = json_is_true(json_object_get(status, "running"));
    json_decref(status);
    if (session->operation->operation == PH_OPERATION_RESET)
        return ph_error_set(error, PH_FAILED, NULL,
                   "the agent ended in the middle of it: nobody knows whether the machine was "
                   "reset"),
               -EIO;
    if (running == (session->operation->operation == PH_OPERATION_RESUME))
        return done(error, running ? "the guest runs on" : "the guest is paused");
    ph_error_set(error, PH_FAILED, NULL, "the agent ended before it was done; the guest %s",
        running ? "runs" : "is paused");
    return -EIO;
}

/* ---- snapshots */

static bool takes_part(const struct ph_qemu_disk *disk)
{
    return disk->media != PH_MEDIA_CDROM && !disk->read_only;
}

static int disks_can(const struct ph_qemu *qemu, struct ph_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < qemu->disks.count; i++) {
        const struct ph_qemu_disk *disk = &qemu->disks.items[i];
        if (!takes_part(disk))
            continue;
        count++;
        if (disk->format == PH_DISK_QCOW2)
            continue;
        ph_error_set(error, PH_STATE_FORBIDS, "vm",
            "disk %s is of format %s; only a VM all of whose writable disks are qcow2 has "
            "snapshots",
            disk->name, ph_enum_word(&ph_enum_disk_format, (int)disk->format));
        return -ENOTSUP;
    }
    if (count > 0)
        return 0;
    ph_error_set(error, PH_STATE_FORBIDS, "vm", "it has no writable disk to keep a snapshot in");
    return -ENOTSUP;
}

static json_t *nodes_of(const struct ph_qemu *qemu)
{
    json_t *nodes = json_array();
    for (size_t i = 0; nodes != NULL && i < qemu->disks.count; i++) {
        char node[PH_NAME_BYTES_MAX + 8];
        ph_text_format(node, sizeof node, "disk-%s", qemu->disks.items[i].name);
        if (takes_part(&qemu->disks.items[i]))
            json_array_append_new(nodes, json_string(node));
    }
    return nodes;
}

static json_t *image_snapshots(json_t *blocks, const char *node)
{
    size_t i;
    json_t *block;
    json_array_foreach(blocks, i, block)
    {
        const char *name = json_string_value(json_object_get(block, "node-name"));
        if (name != NULL && strcmp(name, node) == 0)
            return json_object_get(json_object_get(block, "image"), "snapshots");
    }
    return NULL;
}

static json_t *named(json_t *snapshots, const char *name)
{
    size_t i;
    json_t *snapshot;
    json_array_foreach(snapshots, i, snapshot)
    {
        const char *its = json_string_value(json_object_get(snapshot, "name"));
        if (its != NULL && strcmp(its, name) == 0)
            return snapshot;
    }
    return NULL;
}

/* Those that every writable disk has, oldest first: a new array, or NULL with *rv_out. */
static json_t *snapshots_of(struct session *session, int *rv_out, struct ph_error *error)
{
    json_t *blocks = NULL, *nodes, *common, *node;
    size_t i, j;
    *rv_out =
        ask(session, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &blocks, error);
    if (*rv_out != 0)
        return NULL;
    nodes = nodes_of(&session->qemu);
    common = json_array();
    json_t *first = image_snapshots(blocks, json_string_value(json_array_get(nodes, 0)) == NULL
                                                ? ""
                                                : json_string_value(json_array_get(nodes, 0)));
    json_t *snapshot;
    json_array_foreach(first, i, snapshot)
    {
        const char *name = json_string_value(json_object_get(snapshot, "name"));
        bool everywhere = name != NULL;
        json_array_foreach(nodes, j, node) everywhere =
            everywhere && named(image_snapshots(blocks, json_string_value(node)), name) != NULL;
        if (everywhere)
            json_array_append_new(common,
                json_pack("{s:s,s:I,s:I}", "name", name, "at",
                    json_integer_value(json_object_get(snapshot, "date-sec")) * 1000, "memory_mib",
                    json_integer_value(json_object_get(snapshot, "vm-state-size")) /
                        (1024 * 1024)));
    }
    json_decref(nodes);
    json_decref(blocks);
    return common;
}

/* As many of the newest as there is room for. */
static int list(struct session *session, char **found_out, struct ph_error *error)
{
    int rv = 0;
    json_t *snapshots = snapshots_of(session, &rv, error);
    if (snapshots == NULL)
        return rv;
    size_t all = json_array_size(snapshots);
    for (;;) {
        free(*found_out);
        *found_out = json_dumps(snapshots, JSON_COMPACT);
        if (*found_out == NULL || strlen(*found_out) <= PH_OPERATION_RESULT_BYTES_MAX)
            break;
        json_array_remove(snapshots, 0);
    }
    size_t told = json_array_size(snapshots);
    json_decref(snapshots);
    if (*found_out == NULL)
        return -ENOMEM;
    ph_error_set(error, PH_FAILED, NULL, "%zu snapshots%s", all,
        told < all ? "; the newest of them are told" : "");
    return 0;
}

/* How many of the writable disks have the snapshot, or -errno. */
static int having(struct session *session, size_t *all_out, struct ph_error *error)
{
    json_t *blocks = NULL, *nodes, *node;
    size_t i;
    int count = 0;
    int rv = ask(session, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &blocks, error);
    if (rv != 0)
        return rv;
    nodes = nodes_of(&session->qemu);
    *all_out = json_array_size(nodes);
    json_array_foreach(nodes, i, node)
    {
        const char *name = json_string_value(node);
        count += named(image_snapshots(blocks, name == NULL ? "" : name),
                     session->operation->item) != NULL;
    }
    json_decref(nodes);
    json_decref(blocks);
    return count;
}

/* ---- QEMU's jobs */

static void dismiss_others(struct session *session)
{
    struct ph_error ignored = {0};
    json_t *jobs = NULL, *job;
    size_t i;
    if (ask(session, "query-jobs", NULL, &jobs, &ignored) != 0)
        return;
    json_array_foreach(jobs, i, job)
    {
        const char *id = json_string_value(json_object_get(job, "id"));
        const char *status = json_string_value(json_object_get(job, "status"));
        if (id != NULL && strncmp(id, JOB_PREFIX, strlen(JOB_PREFIX)) == 0 &&
            strcmp(id, session->job) != 0 && status != NULL && strcmp(status, "concluded") == 0)
            (void)ask(session, "job-dismiss", json_pack("{s:s}", "id", id), NULL, &ignored);
    }
    json_decref(jobs);
}

/* Waits for the end of this operation's job: 0, -EIO with QEMU's reason, -ENOENT: QEMU knows of none. */
static int job_wait(struct session *session, struct ph_error *error)
{
    for (;;) {
        json_t *jobs = NULL, *job, *mine = NULL;
        size_t i;
        int rv = ph_qmp_execute(&session->qmp, "query-jobs", NULL, SNAPSHOT_MS, &jobs, error);
        if (rv != 0)
            return rv;
        json_array_foreach(jobs, i, job)
        {
            const char *id = json_string_value(json_object_get(job, "id"));
            if (id != NULL && strcmp(id, session->job) == 0)
                mine = job;
        }
        const char *status = json_string_value(json_object_get(mine, "status"));
        const char *wrong = json_string_value(json_object_get(mine, "error"));
        bool over = status != NULL && strcmp(status, "concluded") == 0;
        if (mine == NULL)
            rv = -ENOENT;
        else if (over && wrong != NULL)
            rv = (ph_error_set(error, PH_FAILED, NULL, "%s", wrong), -EIO);
        json_decref(jobs);
        if (rv != 0 || over)
            return rv;
        (void)poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

static const char *said(enum ph_vm_operation operation)
{
    return operation == PH_OPERATION_SNAPSHOT_CREATE     ? "the snapshot was made"
           : operation == PH_OPERATION_SNAPSHOT_ROLLBACK ? "disks and memory are as they were then"
                                                         : "the snapshot was removed";
}

static int job_begin(struct session *session, struct ph_error *error)
{
    const struct ph_operation *operation = session->operation;
    json_t *nodes = nodes_of(&session->qemu);
    if (operation->operation == PH_OPERATION_SNAPSHOT_DELETE)
        return ask(session, "snapshot-delete",
            json_pack(
                "{s:s,s:s,s:o}", "job-id", session->job, "tag", operation->item, "devices", nodes),
            NULL, error);
    return ask(session,
        operation->operation == PH_OPERATION_SNAPSHOT_CREATE ? "snapshot-save" : "snapshot-load",
        json_pack("{s:s,s:s,s:O,s:o}", "job-id", session->job, "tag", operation->item, "vmstate",
            json_array_get(nodes, 0), "devices", nodes),
        NULL, error);
}

static int snapshot(struct session *session, struct ph_error *error)
{
    const struct ph_operation *operation = session->operation;
    size_t all = 0;
    int rv = disks_can(&session->qemu, error);
    int have = rv == 0 ? having(session, &all, error) : rv;
    if (have < 0)
        return have;
    if (operation->operation == PH_OPERATION_SNAPSHOT_CREATE && have > 0) {
        ph_error_set(
            error, PH_STATE_FORBIDS, "item", "there is a snapshot %s already", operation->item);
        return -EEXIST;
    }
    /* One that only some of the disks have is of no use, and can be removed. */
    if (have == 0 ? operation->operation != PH_OPERATION_SNAPSHOT_CREATE
                  : operation->operation == PH_OPERATION_SNAPSHOT_ROLLBACK && (size_t)have < all) {
        ph_error_set(error, PH_NOT_FOUND, "item",
            have == 0 ? "there is no snapshot %s" : "not every disk has a snapshot %s",
            operation->item);
        return -ENOENT;
    }
    dismiss_others(session);
    rv = job_begin(session, error);
    if (rv == 0)
        rv = job_wait(session, error);
    return rv != 0 ? rv : done(error, said(operation->operation));
}

static int look_at_snapshot(struct session *session, struct ph_error *error)
{
    enum ph_vm_operation operation = session->operation->operation;
    size_t all = 0;
    int rv = job_wait(session, error);
    if (rv == 0)
        return done(error, said(operation));
    if (rv != -ENOENT)
        return rv;
    int have = having(session, &all, error);
    if (have < 0)
        return have;
    if (operation == PH_OPERATION_SNAPSHOT_DELETE && have == 0)
        return done(error, said(operation));
    ph_error_set(error, PH_FAILED, NULL,
        "the agent ended before QEMU was told, or QEMU was started anew since: %s",
        operation == PH_OPERATION_SNAPSHOT_ROLLBACK ? "nobody knows of a rollback"
        : have > 0 ? "there is a snapshot of that name, and nobody knows whether it is this one"
                   : "there is no such snapshot");
    return -EIO;
}

static int act(const struct ph_work_context *context, const struct ph_operation *operation,
    bool look, char **found_out, struct ph_error *error)
{
    struct session session = {.context = context, .operation = operation, .qmp = {.fd = -1}};
    /* One that is looked at may be under way still. */
    int rv = session_open(&session, look ? SNAPSHOT_MS : COMMAND_MS, error);
    if (rv == 0) {
        switch (operation->operation) {
        case PH_OPERATION_RESET:
        case PH_OPERATION_PAUSE:
        case PH_OPERATION_RESUME:
            rv = look ? look_at_processors(&session, error) : processors(&session, error);
            break;
        case PH_OPERATION_SNAPSHOT_CREATE:
        case PH_OPERATION_SNAPSHOT_ROLLBACK:
        case PH_OPERATION_SNAPSHOT_DELETE:
            rv = look ? look_at_snapshot(&session, error) : snapshot(&session, error);
            break;
        case PH_OPERATION_SNAPSHOT_LIST: /* changes nothing: looking is doing */
            rv = list(&session, found_out, error);
            break;
        case PH_OPERATION_NONE:
            rv = ph_error_set(error, PH_BAD_INPUT, "operation", "says nothing that could be done");
            break;
        }
    }
    session_close(&session);
    return rv;
}

int ph_qemu_operate(const struct ph_work_context *context, const struct ph_operation *operation,
    char **found_out, struct ph_error *error)
{
    return act(context, operation, false, found_out, error);
}

int ph_qemu_look(const struct ph_work_context *context, const struct ph_operation *operation,
    char **found_out, struct ph_error *error)
{
    return act(context, operation, true, found_out, error);
}
