/*
 * Loop devices over files. Linux only; private to agent/pools.
 *
 * A device made here is released by the kernel when its last user closes it (LO_FLAGS_AUTOCLEAR): the file
 * system on it, or this process should it die in between. So none is left behind, whatever ends.
 * Direct I/O where the file system below takes it (no second cache, and a flush of the inner file system
 * reaches the disk at once), but not on btrfs: it checks sums over pages that may change under way.
 */
#ifndef PH_POOLS_LOOP_H
#define PH_POOLS_LOOP_H

#define PH_LOOP_NAME 32

/* Attaches the file and opens the device, which lives as long as *fd_out or a mount of it. 0 or -errno. */
int ph_loop_attach(const char *file, int *fd_out, char device_out[PH_LOOP_NAME]);
/* A device that has the file attached; -ENOENT: none has. */
int ph_loop_find(const char *file, char device_out[PH_LOOP_NAME]);
/* 0: no device has the file any more (waits up to wait_ms for one that is being cleared), and so nobody can
 * write it through one. A device that nothing has open exclusively, which no mount in any namespace can be
 * then, is cleared. -EBUSY: device_out is mounted or otherwise held. */
int ph_loop_release(const char *file, unsigned wait_ms, char device_out[PH_LOOP_NAME]);
/* The device has the size of its file again. */
int ph_loop_grow(const char *device);

#endif
