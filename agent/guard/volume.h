/*
 * What a pool has beside its processes, and how it is let go of when the lease ends. Private to agent/guard.
 * Each may block, so helpers call it.
 *
 * A volume is a file system that is the pool's alone. Its writers may be asleep in a freeze that was cut
 * short, so it is thawed before anything else; and when it cannot be unmounted, or its writers will not die,
 * it is shut down: from then on nothing reaches its disk, whoever has it open (FS_IOC_SHUTDOWN).
 */
#ifndef PH_AGENT_GUARD_VOLUME_H
#define PH_AGENT_GUARD_VOLUME_H

/* Each does nothing when nothing of its own is mounted on path. */
void ph_guard_volume_thaw(const char *path);
void ph_guard_volume_shut(const char *path);
/* Unmounts it; in use, it is shut down first, and taken out of sight. 0 or -errno. */
int ph_guard_volume_release(const char *path);

/* Runs what a file says: lines NAME=value, an empty line, lines of an argv. 0 when it exits 0, -EIO when not,
 * -errno. Nothing else is in its environment. */
int ph_guard_run_release(const char *file);

#endif
