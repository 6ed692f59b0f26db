/*
 * poolherd-log FILE BYTES: standard input to FILE, which never has more than BYTES. Started by the process
 * driver, one per workload; see log.h. Ends when the last holder of its input has ended.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/work/log.h"

int main(int argc, char **argv)
{
    /* Outlives the stop of its workload, to take its last words. */
    static const int ignored[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGPIPE};
    char *end = NULL;
    unsigned long limit = argc == 3 ? strtoul(argv[2], &end, 10) : 0;
    if (argc != 3 || *end != '\0' || limit < 4096) {
        fputs("usage: poolherd-log FILE BYTES   (standard input to FILE, at most BYTES, 4096 or "
              "more)\n",
            stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    int rv = ph_work_log_pump(STDIN_FILENO, argv[1], limit);
    if (rv != 0)
        fprintf(stderr, "poolherd-log: %s: %s\n", argv[1], strerror(-rv));
    return rv != 0;
}
