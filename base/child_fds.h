/*
 * What child.c needs from the system beyond POSIX. Private to base/.
 */
#ifndef PH_BASE_CHILD_FDS_H
#define PH_BASE_CHILD_FDS_H

/* Closes every descriptor from `lowest` up. Async-signal-safe: runs between fork and exec. */
void ph_child_close_from(int lowest);

#endif
