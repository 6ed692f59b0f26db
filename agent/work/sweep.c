#include "agent/work/sweep.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include "agent/guard/cgroup.h"
#include "agent/guard/process.h"
#include "base/clock.h"

#define PAUSE_MS_MAX 20
#define CLEAR_SCANS 2 /* as in the guard: one scan can miss what is born behind its back */

struct scan {
    const struct ph_sweep *sweep;
    bool group_ours; /* the number still means what it meant */
    bool kill, found;
};

static void scan_visit(const struct ph_process *process, void *argument)
{
    struct scan *scan = argument;
    const struct ph_sweep *sweep = scan->sweep;
    bool ours =
        scan->group_ours && (process->group == sweep->group || process->session == sweep->group);
    if (!ours) {
        struct ph_process_marks marks;
        ours = ph_process_marks(process->pid, &marks) == 0 &&
               strcmp(marks.mark, sweep->marker) == 0 && strcmp(marks.vm, sweep->vm) == 0;
    }
    if (!ours)
        return;
    scan->found = true;
    if (scan->kill)
        ph_process_kill(process);
}

static bool left_marked(const struct ph_sweep *sweep, bool kill_it)
{
    struct ph_process leader;
    struct scan scan = {.sweep = sweep, .group_ours = sweep->group > 1, .kill = kill_it};
    if (scan.group_ours && ph_process_read(sweep->group, &leader) == 0 &&
        leader.start_time != sweep->start_time)
        scan.group_ours = false;
    if (scan.group_ours && kill_it)
        ph_group_kill(sweep->group, sweep->start_time);
    int rv = ph_process_each(scan_visit, &scan);
    if (rv == -ENOTSUP)
        return scan.group_ours && ph_group_alive(sweep->group);
    return rv != 0 || scan.found;
}

int ph_sweep(const struct ph_sweep *sweep, bool kill_it, uint32_t timeout_ms)
{
    uint64_t until_ms = ph_clock_boot_ms() + timeout_ms;
    long pause_ms = 1;
    int clear = 0;
    for (;;) {
        bool left;
        if (sweep->cgroup[0] != '\0') {
            if (kill_it)
                ph_cgroup_kill(sweep->cgroup);
            left = ph_cgroup_populated(sweep->cgroup);
            clear = CLEAR_SCANS; /* the kernel misses nobody */
        } else {
            left = left_marked(sweep, kill_it);
            clear = left ? 0 : clear + 1;
        }
        if (!left && clear >= CLEAR_SCANS)
            return 0;
        if (!left)
            continue;
        if (ph_clock_boot_ms() >= until_ms)
            return -EBUSY;
        const struct timespec pause = {.tv_nsec = pause_ms * 1000000};
        nanosleep(&pause, NULL);
        pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
    }
}
