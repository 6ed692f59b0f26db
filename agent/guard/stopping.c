#include "agent/guard/stopping.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/guard/cgroup.h"
#include "agent/guard/process.h"
#include "agent/guard/system.h"
#include "agent/guard/volume.h"
#include "base/child_fds.h"
#include "base/text.h"

/* A process may be born behind a scan's back while its parent ends; not twice in a row, with everything
 * that was seen killed in between. */
#define CLEAR_SCANS 2
#define SCAN_COMPLETE 0u /* no pool has this id */

/* A helper holds none of the guard's descriptors: a hanging one must not keep the guard's lock from the
 * guard's successor. keep_fd (or -1) becomes descriptor 3. Returns 0 in the helper. */
static pid_t helper_start(int keep_fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (keep_fd >= 0 && keep_fd != 3)
            dup2(keep_fd, 3);
        ph_child_close_from(keep_fd >= 0 ? 4 : 3);
    }
    return pid;
}

/* Does something to each volume of the pool. It must have ended before the pool is done: what it does must not
 * meet what is mounted there next. */
static void hammer_start(struct ph_guard_pool *pool, void (*strike)(const char *path))
{
    if (pool->hammer > 0 || !ph_guard_pool_has(pool, PH_ITEM_VOLUME))
        return;
    pid_t pid = helper_start(-1);
    if (pid == 0) {
        for (size_t i = 0; i < pool->count; i++)
            if (pool->items[i].kind == PH_ITEM_VOLUME)
                strike(pool->items[i].text);
        _exit(0);
    }
    pool->hammer = pid > 0 ? pid : 0;
}

static void hammer_go_on(struct ph_guard_pool *pool, bool late)
{
    if (pool->hammer > 0 && (waitpid(pool->hammer, NULL, WNOHANG) != 0))
        pool->hammer = 0;
    if (late && pool->whole && pool->phase == PH_GUARD_KILLING && !pool->shut &&
        pool->hammer == 0) {
        pool->shut = true;
        hammer_start(pool, ph_guard_volume_shut);
    }
}

void ph_guard_kill_start(struct ph_guard_pool *pool, bool whole)
{
    pool->whole = pool->whole || whole;
    if (pool->phase == PH_GUARD_RELEASING)
        return;
    pool->phase = PH_GUARD_KILLING;
    pool->clear_scans = 0;
    pool->scanning = false; /* one under way began before: it does not count */
    if (whole)
        hammer_start(pool, ph_guard_volume_thaw); /* who writes to a frozen one cannot be killed */
}

/* With a cgroup the kernel knows all of the pool; without one, only looking at every process tells. */
static bool needs_scan(const struct ph_guard_pool *pool)
{
    return pool->phase == PH_GUARD_KILLING && pool->clear_scans < CLEAR_SCANS &&
           !ph_guard_pool_has(pool, PH_ITEM_CGROUP) &&
           (ph_guard_pool_has(pool, PH_ITEM_MARK) || ph_guard_pool_has(pool, PH_ITEM_GROUP));
}

static void kill_items(struct ph_guard_pool *pool)
{
    for (size_t i = pool->count; i-- > 0;) {
        const struct ph_guard_item *item = &pool->items[i];
        if (item->kind == PH_ITEM_CGROUP)
            ph_cgroup_kill(item->text);
        else if (item->kind == PH_ITEM_GROUP &&
                 ph_group_kill(item->group, item->start_time) == -ESTALE)
            ph_guard_pool_drop(pool, i);
    }
}

/* Groups and sessions with a living member, gathered at most once per round. */
struct groups {
    bool gathered, failed;
    size_t count, room;
    pid_t *items;
};

static void groups_add(struct groups *groups, pid_t group)
{
    if (groups->count > 0 && groups->items[groups->count - 1] == group)
        return;
    if (groups->count == groups->room) {
        size_t room = groups->room == 0 ? 256 : groups->room * 2;
        pid_t *items = realloc(groups->items, room * sizeof *items);
        if (items == NULL) {
            groups->failed = true;
            return;
        }
        groups->items = items;
        groups->room = room;
    }
    groups->items[groups->count++] = group;
}

static void groups_visit(const struct ph_process *process, void *argument)
{
    groups_add(argument, process->session);
    groups_add(argument, process->group);
}

static bool groups_have(struct groups *groups, pid_t group)
{
    if (!groups->gathered) {
        groups->gathered = true;
        if (ph_process_each(groups_visit, groups) != 0)
            groups->failed = true;
    }
    if (groups->failed)
        return true; /* not known to be empty */
    for (size_t i = 0; i < groups->count; i++)
        if (groups->items[i] == group)
            return true;
    return false;
}

static bool group_left(struct groups *groups, pid_t group)
{
    /* What has ended but was not waited for still counts here; only looking closer tells it apart. */
    return (kill(-group, 0) == 0 || errno != ESRCH) && groups_have(groups, group);
}

static bool left(const struct ph_guard_pool *pool, struct groups *groups)
{
    if (needs_scan(pool))
        return true;
    for (size_t i = 0; i < pool->count; i++) {
        const struct ph_guard_item *item = &pool->items[i];
        if (item->kind == PH_ITEM_CGROUP && ph_cgroup_populated(item->text))
            return true;
        if (item->kind == PH_ITEM_GROUP && group_left(groups, item->group))
            return true;
    }
    return false;
}

/* ---- the scan of all processes */

static bool belongs(
    const struct ph_guard_pool *pool, const struct ph_process *process, const char *mark)
{
    for (size_t i = 0; i < pool->count; i++) {
        const struct ph_guard_item *item = &pool->items[i];
        if (item->kind == PH_ITEM_GROUP &&
            (item->group == process->group || item->group == process->session))
            return true;
        if (item->kind == PH_ITEM_MARK && mark != NULL && strcmp(item->text, mark) == 0)
            return true;
    }
    return false;
}

static void scan_visit(const struct ph_process *process, void *argument)
{
    struct ph_guard_table *table = argument;
    struct ph_process_marks marks;
    const char *mark = NULL;
    /* First by group and session, which never blocks, then by mark. */
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            if (ph_process_marks(process->pid, &marks) != 0 || marks.mark[0] == '\0')
                return;
            mark = marks.mark;
        }
        for (size_t i = 0; i < table->count; i++) {
            struct ph_guard_pool *pool = &table->pools[i];
            if (pool->scanning && belongs(pool, process, mark)) {
                ph_process_kill(process);
                pool->found = true;
                return;
            }
        }
    }
}

/* Where processes cannot be looked at, groups alone have to tell. */
static bool scan_ran(int rv)
{
    return rv == 0 || rv == -ENOTSUP;
}

static _Noreturn void scan_in_helper(struct ph_guard_table *table)
{
    uint32_t id = SCAN_COMPLETE;
    bool written = scan_ran(ph_process_each(scan_visit, table));
    for (size_t i = 0; i < table->count; i++)
        if (table->pools[i].found)
            written &= write(3, &table->pools[i].id, sizeof id) == sizeof id;
    if (written)
        written = write(3, &id, sizeof id) == sizeof id;
    _exit(written ? 0 : 1);
}

static void scan_count(struct ph_guard_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        struct ph_guard_pool *pool = &table->pools[i];
        if (pool->scanning)
            pool->clear_scans = pool->found ? 0 : pool->clear_scans + 1;
        pool->scanning = false;
    }
}

static void scan_start(struct ph_guard_stopping *stopping, struct ph_guard_table *table)
{
    bool any = false;
    int fds[2];
    for (size_t i = 0; i < table->count; i++) {
        table->pools[i].scanning = needs_scan(&table->pools[i]);
        table->pools[i].found = false;
        any |= table->pools[i].scanning;
    }
    if (!any)
        return;
    pid_t pid = -1;
    if (pipe(fds) == 0) {
        pid = helper_start(fds[1]);
        if (pid == 0)
            scan_in_helper(table);
        close(fds[1]);
        if (pid < 0)
            close(fds[0]);
    }
    if (pid <
        0) { /* out of processes or descriptors, perhaps by what is to be killed: do it here */
        if (scan_ran(ph_process_each(scan_visit, table)))
            scan_count(table);
        return;
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    stopping->scan_fd = fds[0];
    stopping->scan_pid = pid;
}

/* Takes what the scan has to say so far. */
static void scan_collect(struct ph_guard_stopping *stopping, struct ph_guard_table *table)
{
    uint32_t id;
    for (;;) {
        ssize_t got = read(stopping->scan_fd, &id, sizeof id);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got == (ssize_t)sizeof id && id != SCAN_COMPLETE) {
            for (size_t i = 0; i < table->count; i++)
                if (table->pools[i].id == id)
                    table->pools[i].found = true;
            continue;
        }
        if (got == (ssize_t)sizeof id)
            scan_count(table);
        /* Else it was killed half-way: the next one begins anew. */
        close(stopping->scan_fd);
        stopping->scan_fd = -1;
        while (waitpid(stopping->scan_pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return;
    }
}

/* ---- releasing */

static int release_item(const struct ph_guard_item *item)
{
    switch (item->kind) {
    case PH_ITEM_MOUNT:
        return ph_guard_unmount(item->text);
    case PH_ITEM_VOLUME:
        return ph_guard_volume_release(item->text);
    case PH_ITEM_RELEASE:
        return ph_guard_run_release(item->text);
    case PH_ITEM_MARK:
    case PH_ITEM_CGROUP:
    case PH_ITEM_GROUP:
        break;
    }
    return 0;
}

static _Noreturn void release_in_helper(const struct ph_guard_pool *pool)
{
    int rv = 0;
    for (size_t i = pool->count; i-- > 0;) { /* the last one mounted first */
        int released = release_item(&pool->items[i]);
        rv = released != 0 ? released : rv;
    }
    _exit(rv == 0 ? 0 : (-rv & 0x7f) != 0 ? -rv & 0x7f : EIO); /* an exit status has few bits */
}

static bool has_to_release(const struct ph_guard_pool *pool)
{
    return ph_guard_pool_has(pool, PH_ITEM_MOUNT) || ph_guard_pool_has(pool, PH_ITEM_VOLUME) ||
           ph_guard_pool_has(pool, PH_ITEM_RELEASE);
}

static void release(struct ph_guard_pool *pool)
{
    int status;
    if (pool->helper > 0) {
        pid_t ended = waitpid(pool->helper, &status, WNOHANG);
        if (ended == 0 || (ended < 0 && errno == EINTR))
            return;
        pool->helper = 0;
        pool->helper_error = ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
        if (pool->helper_error == 0)
            pool->phase = PH_GUARD_DONE;
        return; /* the next try at the next round, so that EBUSY does not become a busy loop */
    }
    pid_t pid = helper_start(-1);
    if (pid == 0)
        release_in_helper(pool);
    pool->helper = pid > 0 ? pid : 0;
}

size_t ph_guard_round(struct ph_guard_stopping *stopping, struct ph_guard_table *table)
{
    struct groups groups = {false, false, 0, 0, NULL};
    size_t busy = 0;
    if (stopping->scan_fd >= 0)
        scan_collect(stopping, table);
    for (size_t i = 0; i < table->count; i++)
        if (table->pools[i].phase == PH_GUARD_KILLING)
            kill_items(&table->pools[i]);
    if (stopping->scan_fd < 0)
        scan_start(stopping, table);
    for (size_t i = 0; i < table->count; i++) {
        struct ph_guard_pool *pool = &table->pools[i];
        hammer_go_on(pool, stopping->late);
        if (pool->phase == PH_GUARD_KILLING && pool->hammer == 0 && !left(pool, &groups))
            pool->phase = pool->whole && has_to_release(pool) ? PH_GUARD_RELEASING : PH_GUARD_DONE;
        if (pool->phase == PH_GUARD_RELEASING)
            release(pool);
        busy += pool->phase == PH_GUARD_KILLING || pool->phase == PH_GUARD_RELEASING;
    }
    free(groups.items);
    return busy;
}

void ph_guard_prune(struct ph_guard_pool *pool)
{
    struct groups groups = {false, false, 0, 0, NULL};
    bool cgroup = ph_guard_pool_has(pool, PH_ITEM_CGROUP);
    for (size_t i = pool->count; i-- > 0;) {
        pid_t group = pool->items[i].group;
        if (pool->items[i].kind != PH_ITEM_GROUP || kill(-group, 0) == 0 || errno != ESRCH)
            continue;
        /* Its session may live on, and without a cgroup is found by its number. */
        if (cgroup || !groups_have(&groups, group))
            ph_guard_pool_drop(pool, i);
    }
    free(groups.items);
}

bool ph_guard_runs(const struct ph_guard_pool *pool)
{
    struct groups groups = {false, false, 0, 0, NULL};
    struct ph_guard_pool calm = *pool;
    calm.phase = PH_GUARD_CALM;
    bool runs = left(&calm, &groups);
    free(groups.items);
    return runs;
}

void ph_guard_say_stuck(const struct ph_guard_pool *pool, char *out, size_t size)
{
    if (pool->phase == PH_GUARD_RELEASING)
        ph_text_format(out, size, "releasing what it has mounted or taken: %s",
            pool->helper_error != 0 ? strerror(pool->helper_error) : "no answer from the kernel");
    else
        ph_text_format(
            out, size, "processes that SIGKILL has not ended, waiting for a disk perhaps");
}
