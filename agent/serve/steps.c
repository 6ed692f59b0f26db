/* What each kind of task does, on its worker thread. Order of steps is the core's; here is only how. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "agent/ocf/ocf.h"
#include "agent/serve/shell.h"
#include "agent/work/space.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/codec.h"

static struct ph_pool_context pool_context(const struct ph_running *running)
{
    return (struct ph_pool_context){.driver = ph_pool_driver_find(running->task->order.pool.driver),
        .directory = running->shell->directory,
        .pool = &running->task->order.pool,
        .epoch = running->task->epoch,
        .cancelled = &running->cancelled};
}

static const struct ph_pool_driver *pool_driver(struct ph_running *running)
{
    const char *name = running->task->order.pool.driver;
    const struct ph_pool_driver *driver = ph_pool_driver_find(name);
    if (!driver)
        ph_error_set(&running->error, PH_BAD_INPUT, "driver",
            "this node's agent has no pool driver \"%s\"; upgrade it or choose another node", name);
    return driver;
}

static int failed(struct ph_running *running, int rv, const char *what)
{
    if (rv != 0 && !running->error.message[0])
        ph_error_set(&running->error, PH_FAILED, NULL, "%s: %s", what, strerror(-rv));
    return rv;
}

/* Tells the guard of the pool before anything of it can run. */
static int register_pool(struct ph_running *running)
{
    struct ph_shell *shell = running->shell;
    const char *pool = running->task->order.pool.name;
    char marker[128];
    ph_place_marker(shell, pool, marker, sizeof(marker));
    running->cgroup[0] = 0;
    if (shell->cgroup_parent[0] &&
        ph_cgroup_make(shell->cgroup_parent, pool, running->cgroup, sizeof(running->cgroup)) != 0)
        running->cgroup[0] = 0;
    return failed(running, ph_guard_add_pool(shell->guard, pool, running->cgroup, marker),
        "the guard did not take the pool in");
}

/* What the data is now, for the core's books. */
static void look_at_data(struct ph_running *running, const struct ph_pool_driver *driver)
{
    struct ph_pool_context context = pool_context(running);
    struct ph_pool_data data = {0};
    if (driver->inspect(&context, &data) == 0) {
        running->copy.epoch = data.copy_epoch;
        running->copy.sequence = data.copy_sequence;
    }
}

static int activate(struct ph_running *running, bool create)
{
    const struct ph_pool_driver *driver = pool_driver(running);
    struct ph_pool_context context = pool_context(running);
    if (!driver)
        return -EINVAL;
    int rv = failed(running, ph_stream_server_allow(running->shell->streams, &running->task->order),
        "receiving could not be ended");
    if (rv == 0)
        rv = register_pool(running);
    /* The guard learns of a mount before it is made: a lease that ends in between must not leave it. */
    char mount_path[PATH_MAX] = "";
    driver->mount_path(&context, mount_path);
    if (rv == 0 && mount_path[0])
        rv = failed(running,
            ph_guard_add_volume(running->shell->guard, running->task->order.pool.name, mount_path),
            "the guard did not take the mount in");
    if (rv == 0 && driver->release_file != NULL) {
        rv = failed(running, driver->release_file(&context, mount_path, &running->error),
            "its release could not be written down");
        if (rv == 0)
            rv = failed(running,
                ph_guard_add_release(
                    running->shell->guard, running->task->order.pool.name, mount_path),
                "the guard did not take its release in");
    }
    if (rv == 0)
        rv = failed(running, driver->activate(&context, create, running->path, &running->error),
            "the pool's data could not be activated");
    if (rv == 0)
        look_at_data(running, driver);
    return rv;
}

/* The PID namespace of the task's pool; texts borrow from paths and the task. */
static int space_settings(struct ph_running *running, char run_directory[PATH_MAX],
    char marker[128], struct ph_space_settings *settings)
{
    const struct ph_shell *shell = running->shell;
    const char *pool = running->task->order.pool.name;
    char relative[PH_NAME_BYTES_MAX + 16];
    ph_text_format(relative, sizeof(relative), "run/work/%s", pool);
    int rv = ph_path_join(run_directory, PATH_MAX, shell->directory, relative);
    ph_place_marker(shell, pool, marker, 128);
    *settings = (struct ph_space_settings){.node = shell->identity.name,
        .pool = pool,
        .directory = shell->directory,
        .run_directory = run_directory,
        .cgroup = running->cgroup,
        .marker = marker,
        .generation = running->task->generation,
        .guard = shell->guard};
    return rv;
}

static int end_space(struct ph_running *running)
{
    struct ph_space_settings settings;
    char run_directory[PATH_MAX], marker[128];
    /* After a restart of the agent the group is known only where a VM was found running. */
    if (!running->cgroup[0] && running->shell->cgroup_parent[0] &&
        ph_cgroup_make(running->shell->cgroup_parent, running->task->order.pool.name,
            running->cgroup, sizeof(running->cgroup)) != 0)
        running->cgroup[0] = 0;
    int rv = space_settings(running, run_directory, marker, &settings);
    return failed(running, rv != 0 ? rv : ph_space_close(&settings, &running->error),
        "its PID namespace could not be ended");
}

/* What workloads have beside processes (docs/resources.md): a pool that is let go of must have none left. */
static int release_workloads(struct ph_running *running)
{
    char relative[PH_NAME_BYTES_MAX + 16], directory[PATH_MAX];
    ph_text_format(relative, sizeof(relative), "run/work/%s", running->task->order.pool.name);
    int rv = ph_path_join(directory, sizeof(directory), running->shell->directory, relative);
    if (rv == 0)
        rv = ph_ocf_run_releases(directory, PH_OCF_TIMEOUT_MS, &running->error);
    return failed(running, rv, "a resource of the pool could not be stopped");
}

static int deactivate(struct ph_running *running)
{
    const struct ph_pool_driver *driver = pool_driver(running);
    struct ph_pool_context context = pool_context(running);
    if (!driver)
        return -EINVAL;
    /* Its init alone is left in there, and has the pool's mounts. */
    int rv = release_workloads(running);
    if (rv == 0)
        rv = end_space(running);
    if (rv != 0)
        return rv;
    rv = failed(running, driver->deactivate(&context, &running->error),
        "the pool's data could not be released");
    if (rv != 0)
        return rv;
    look_at_data(running, driver);
    if (running->cgroup[0])
        ph_cgroup_remove(running->cgroup);
    return failed(running,
        ph_guard_remove_pool(running->shell->guard, running->task->order.pool.name),
        "the guard did not let go of the pool");
}

static int drop(struct ph_running *running)
{
    const struct ph_pool_driver *driver = pool_driver(running);
    struct ph_pool_context context = pool_context(running);
    if (!driver)
        return -EINVAL;
    int rv = failed(running, ph_stream_server_allow(running->shell->streams, &running->task->order),
        "receiving could not be ended");
    return rv != 0 ? rv
                   : failed(running, driver->drop(&context, &running->error),
                         "the pool's data could not be removed");
}

/* A last copy has no limit: the pool is down until it is there. */
static void limit_rate(struct ph_running *running, struct ph_stream *stream)
{
    const struct ph_pool *pool = &running->task->order.pool;
    struct ph_pool_settings settings = {0};

    if (running->task->last)
        return;
    if (pool->settings != NULL && ph_decode(&ph_record_pool_settings, pool->settings,
                                      strlen(pool->settings), &settings, NULL) != 0)
        settings.bandwidth_kib_s = 0;
    ph_stream_limit(stream, settings.bandwidth_kib_s, running->shell->config.bandwidth_kib_s);
    ph_record_fini(&ph_record_pool_settings, &settings);
}

static int copy(struct ph_running *running)
{
    const struct ph_pool_driver *driver = pool_driver(running);
    struct ph_pool_context context = pool_context(running);
    struct ph_stream *stream = NULL;
    if (!driver)
        return -EINVAL;
    struct ph_stream_open open;
    memset(&open, 0, sizeof(open));
    int rv =
        failed(running, driver->open(&context, &open, &running->error), "no copy could be begun");
    if (rv == 0)
        open.verify = running->task->verify;
    if (rv == 0)
        rv = failed(running,
            ph_stream_connect(&running->shell->identity, &running->task->peer, &open,
                &running->cancelled, PH_STREAM_CONNECT_TIMEOUT_MS, &stream, &running->error),
            "the other node could not be reached");
    if (rv == 0) {
        ph_stream_count_into(stream, &running->bytes);
        limit_rate(running, stream);
        rv = failed(running,
            driver->send(&context, stream, running->task->last, &running->copy, &running->error),
            "the copy failed");
    }
    if (stream != NULL)
        running->copy.spoilt = ph_stream_spoilt(stream);
    ph_stream_destroy(&stream);
    ph_record_fini(&ph_record_stream_open, &open);
    return rv;
}

/* The declaration of the VM that the task is about. */
static const struct ph_vm *declared_vm(struct ph_running *running)
{
    const struct ph_order *order = &running->task->order;
    for (size_t i = 0; i < order->vms.count; i++)
        if (strcmp(order->vms.items[i].name, running->task->vm) == 0)
            return &order->vms.items[i];
    ph_error_set(&running->error, PH_FAILED, "vm", "%s is not declared in %s", running->task->vm,
        order->pool.name);
    return NULL;
}

/* A workload as its driver wants it; `context` borrows from the rest. */
struct workload {
    const struct ph_vm *vm;
    const struct ph_work_driver *driver;
    struct ph_work_paths paths;
    struct ph_work_context context;
};

static int find_workload(struct ph_running *running, struct workload *workload)
{
    workload->vm = declared_vm(running);
    if (!workload->vm)
        return -EINVAL;
    workload->driver = ph_work_driver_find(workload->vm->kind);
    if (!workload->driver)
        return ph_error_set(&running->error, PH_BAD_INPUT, "kind",
            "this node's agent has no workload driver \"%s\"", workload->vm->kind);
    return 0;
}

static int make_context(struct ph_running *running, struct workload *workload)
{
    return failed(running,
        ph_vms_context(running->shell, &running->task->order, workload->vm,
            running->task->generation, running->path, running->cgroup, &workload->paths,
            &workload->context),
        "its directories could not be made");
}

static int start_vm(struct ph_running *running)
{
    struct workload workload;
    int rv = find_workload(running, &workload);
    /* After a restart of the agent the active path is not known yet; activation is idempotent. */
    if (rv == 0 && !running->path[0])
        rv = activate(running, false);
    if (rv == 0)
        rv = make_context(running, &workload);
    if (rv == 0)
        rv = failed(running, workload.driver->check(workload.vm, &running->error),
            "its declaration is wrong");
    struct ph_space_settings settings;
    struct ph_space space = {.pid_fd = -1};
    char run_directory[PATH_MAX], marker[128];
    if (rv == 0 && running->shell->spaces && running->cgroup[0]) {
        rv = space_settings(running, run_directory, marker, &settings);
        rv = failed(running, rv != 0 ? rv : ph_space_open(&settings, &space, &running->error),
            "it has no PID namespace to start in");
        workload.context.space = &space;
    }
    if (rv == 0)
        rv = failed(running,
            workload.driver->start(&workload.context, &running->process, &running->error),
            "it could not be started");
    if (space.pid_fd >= 0)
        close(space.pid_fd);
    running->started = rv == 0;
    running->watched = rv == 0 && workload.driver->watched;
    return rv;
}

static int stop_vm(struct ph_running *running)
{
    struct workload workload;
    int rv = find_workload(running, &workload);
    if (rv == 0)
        rv = make_context(running, &workload);
    if (rv != 0)
        return rv;
    /* One that is not found has ended, and may have left others behind: stop() ends those too. */
    if (running->process.pid == 0)
        (void)workload.driver->adopt(&workload.context, &running->process);
    return failed(running,
        workload.driver->stop(&workload.context, &running->process, &running->error),
        "it could not be stopped");
}

static int operate(struct ph_running *running, bool look)
{
    const struct ph_operation *operation = &running->task->operation;
    const char *word = ph_enum_word(&ph_enum_vm_operation, (int)operation->operation);
    struct workload workload;
    int rv = find_workload(running, &workload);
    if (rv == 0)
        rv = make_context(running, &workload);
    if (rv != 0)
        return rv;
    ph_work_operate *act = look ? workload.driver->look : workload.driver->operate;
    if (act == NULL)
        return ph_error_set(&running->error, PH_STATE_FORBIDS, "operation",
            "%s is not for VMs of kind %s", word, workload.driver->name);
    return failed(
        running, act(&workload.context, operation, &running->found, &running->error), word);
}

void ph_step_run(struct ph_running *running)
{
    const struct ph_task *task = running->task;
    int rv = -EINVAL;
    switch (task->kind) {
    case PH_TASK_ACTIVATE:
        rv = activate(running, task->order.create);
        break;
    case PH_TASK_DEACTIVATE:
        rv = deactivate(running);
        break;
    case PH_TASK_COPY:
        rv = copy(running);
        break;
    case PH_TASK_DROP:
        rv = drop(running);
        break;
    case PH_TASK_VM_START:
        rv = start_vm(running);
        break;
    case PH_TASK_VM_STOP:
        rv = stop_vm(running);
        break;
    case PH_TASK_KILL:
        rv = failed(running,
            ph_guard_kill_pool(
                running->shell->guard, task->order.pool.name, (uint32_t)task->timeout_ms),
            "not everything of the pool could be killed");
        if (rv == 0)
            rv = release_workloads(running);
        break;
    case PH_TASK_VM_OPERATE:
    case PH_TASK_VM_LOOK:
        rv = operate(running, task->kind == PH_TASK_VM_LOOK);
        break;
    }
    /* To the core -ETIMEDOUT says that the task itself hangs, which tasks.c alone can tell. */
    running->status = rv == -ETIMEDOUT ? -EIO : rv;
}
