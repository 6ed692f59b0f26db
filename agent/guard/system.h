/*
 * What the guard needs of its operating system beyond POSIX. Private to agent/guard.
 */
#ifndef PH_AGENT_GUARD_SYSTEM_H
#define PH_AGENT_GUARD_SYSTEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An address for a socket of this name in a directory, however long the directory's path is: sun_path
 * has 108 bytes. *fd_out must stay open until bind() or connect() has returned. 0 or -errno. */
int ph_guard_address(
    const char *directory, const char *name, struct sockaddr_un *address_out, int *fd_out);
/* Whether the other end is this user or root. 0 or -EPERM. */
int ph_guard_check_peer(int socket_fd);

/* A descriptor that becomes readable at an instant of CLOCK_BOOTTIME, suspend or not; -1: there is none,
 * and the caller looks at the clock often. */
int ph_guard_timer_open(void);
void ph_guard_timer_set(int fd, uint64_t at_ms);

/* Locked memory, real-time priority, not a victim of the out-of-memory killer, where each is allowed; what
 * is not is said in the log. */
void ph_guard_protect(void);

/* DIR/run/state, where lease page and table live: on tmpfs when there is one (then a link to a directory
 * there), made when it is missing. 0 or -errno. */
int ph_guard_state_make(const char *run_directory);
/* Takes away what guards that were killed left on tmpfs for agents whose directory is gone by now, when nothing
 * of their pools runs. */
void ph_guard_state_sweep(void);
/* Notes in a directory on tmpfs whose it is. 0 or -errno. */
int ph_guard_state_sign(const char *state_directory, const char *run_directory);
/* Removes it and all in it, at a clean end. */
void ph_guard_state_remove(const char *run_directory);

/* Unmounts everything mounted on path. 0 when nothing is (any more), -EBUSY, -errno. May block. */
int ph_guard_unmount(const char *path);

#endif
