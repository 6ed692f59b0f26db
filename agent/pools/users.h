/* Who still writes below a directory. Private to agent/pools. */
#ifndef PH_POOLS_USERS_H
#define PH_POOLS_USERS_H

#include <stddef.h>

/* The number of processes with a file or a shared mapping open for writing below path, as far as this
 * user may see, without our own; text_out names the first ones ("httpd (4711), ..."). 0 where the
 * system cannot tell. A courtesy to strangers in the data (the pool's own processes have ended
 * before), so it looks for 150 ms at most and misses those it did not come to. */
int ph_path_writers(const char *path, char *text_out, size_t size);

/* Directory of this program, or "". */
void ph_program_directory(char *out, size_t size);

#endif
