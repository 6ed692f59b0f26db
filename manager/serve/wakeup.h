/*
 * What wakes the loop besides its sockets: signals, the store's writer, the workers. A pipe to
 * itself, which every POSIX system has. Private.
 */
#ifndef PH_SERVE_WAKEUP_H
#define PH_SERVE_WAKEUP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct serve_wakeup {
    int read_fd, write_fd;
    atomic_bool pending; /* a byte is in the pipe */
};

/* Also takes SIGTERM, SIGINT, SIGHUP and ignores SIGPIPE. One per process. 0 or -errno. */
int serve_wakeup_init(struct serve_wakeup *wakeup);
void serve_wakeup_fini(struct serve_wakeup *wakeup);
void serve_wakeup_ring(struct serve_wakeup *wakeup);  /* any thread */
void serve_wakeup_clear(struct serve_wakeup *wakeup); /* the loop, before it looks at what is new */
bool serve_signal_stop(void);                         /* SIGTERM or SIGINT came */
bool serve_signal_reload(void);                       /* SIGHUP came since the last call */

#endif
