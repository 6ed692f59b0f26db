/* A tool (rsync, btrfs) put on a stream: started, watched, ended with its stream or its task. Private
 * to agent/pools. */
#ifndef PH_POOLS_TOOL_H
#define PH_POOLS_TOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "agent/stream/stream.h"
#include "poolherd/error.h"

/* ph_pools_set_stall_ms() */
uint64_t ph_tool_stall_ms(void);

struct ph_tool {
    const char *name;
    pid_t pid;      /* 0: none runs */
    int output_fd;  /* its standard error */
    char line[512]; /* being read */
    size_t line_bytes;
    char said[512]; /* the last line that tells something, printable; "" */
    /* Set after the start: one that moves nothing on it for the stall time, or outlives it, is ended. */
    struct ph_stream *stream;
};

/* Starts argv with the fds as its input and output (-1: /dev/null), its messages read here. 0, -ENOENT
 * (the package that has it is named), -errno. */
int ph_tool_start(
    struct ph_tool *tool, const char *const *argv, int in_fd, int out_fd, struct ph_error *error);
/* Waits for its end; when *cancelled becomes true, or it hangs, it is terminated, and killed a second
 * later. 0 and its exit status (128 + signal), -ECANCELED, or -EIO when it moved nothing for too long.
 * Nothing of it runs any more afterwards. */
int ph_tool_wait(
    struct ph_tool *tool, const atomic_bool *cancelled, int *status_out, struct ph_error *error);
/* -EIO, and what went wrong: the stream's own reason (the other node's words, a lost connection)
 * before the tool's. */
int ph_tool_explain(
    struct ph_stream *stream, const struct ph_tool *tool, int status, struct ph_error *error);

#endif
