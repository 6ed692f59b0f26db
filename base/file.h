/*
 * Files that survive a power cut, and directories with one master. Not pure.
 */
#ifndef PH_BASE_FILE_H
#define PH_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Replaces path with bytes durably: temporary file beside it with `mode`, fsync, rename, fsync of
 * the directory. 0 or -errno; on failure the old file stands and no temporary is left. */
int ph_file_replace(const char *path, const void *bytes, size_t size, mode_t mode);

/* Reads a whole file of at most `limit` bytes into a heap string (terminated). 0, -errno, -EFBIG. */
int ph_file_read(const char *path, size_t limit, char **text_out, size_t *size_out);

/* mkdir -p with 0700 for what is made. 0 or -errno. */
int ph_directory_make(const char *path);

/* Takes the lock file `path` (flock, held until the fd is closed or the process ends) and writes the
 * pid into it. 0, -EWOULDBLOCK when another process holds it (*holder_out: its pid, 0 unknown). */
int ph_lock_take(const char *path, int *fd_out, pid_t *holder_out);

/* Removes a tree without following links or crossing devices. 0 or -errno (first error). */
int ph_tree_remove(const char *path);

/* Joins with one slash; -ENAMETOOLONG. */
int ph_path_join(char *out, size_t size, const char *directory, const char *name);

#endif
