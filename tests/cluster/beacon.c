/*
 * A workload that proves where it runs: every 5 ms it appends "POOL NODE EPOCH NANOSECONDS" to a file
 * that all nodes of a test share. With a second argument it ignores SIGTERM for that many ms.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void on_term(int number)
{
    (void)number;
    asked = 1;
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000LL + now.tv_nsec;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "-";
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return 1;
    long long stubborn_ns = argc > 2 ? atoll(argv[2]) * 1000000LL : 0, asked_ns = 0;
    signal(SIGTERM, on_term);
    for (;;) {
        char line[512];
        int length = snprintf(line, sizeof(line), "%s %s %s %lld\n", variable("POOLHERD_POOL"),
            variable("POOLHERD_NODE"), variable("POOLHERD_EPOCH"), now_ns());
        if (length > 0 && write(fd, line, (size_t)length) < 0 && errno != EINTR)
            return 1;
        if (asked && !asked_ns)
            asked_ns = now_ns();
        if (asked && now_ns() - asked_ns >= stubborn_ns)
            return 0;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}
