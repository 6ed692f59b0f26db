/*
 * A workload that proves where it runs: every 5 ms it appends a line
 * "POOL NODE EPOCH NANOSECONDS VM PID COUNTER" to a file that all nodes of a test share, in one write()
 * to its end. The time is CLOCK_BOOTTIME's, which all nodes of one machine share and no test shifts.
 *
 *   cluster_beacon FILE [STUBBORN_MS [COUNTER_FILE]]
 *
 * It ignores SIGTERM for STUBBORN_MS. COUNTER_FILE lies in the pool: its number grows by one before each
 * line is written, so that the lines tell what a later owner must find in it. Without one, COUNTER is "-".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 5000000L

static volatile sig_atomic_t asked;

static void on_term(int number)
{
    (void)number;
    asked = 1;
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (long long)now.tv_sec * 1000000000LL + now.tv_nsec;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "-";
}

/* The number in the file, 0 when there is none. */
static unsigned long long counter_read(int fd)
{
    char text[32] = "";
    ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
    return got > 0 ? strtoull(text, NULL, 10) : 0;
}

/* In place and always as long, so that a full disk does not matter. */
static int counter_write(int fd, unsigned long long counter)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%020llu\n", counter);
    return length > 0 && pwrite(fd, text, (size_t)length, 0) == length ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644), counter_fd = -1;
    if (argc > 3)
        counter_fd = open(argv[3], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || (argc > 3 && counter_fd < 0))
        return 1;
    long long stubborn_ns = argc > 2 ? atoll(argv[2]) * 1000000LL : 0, asked_ns = 0;
    unsigned long long counter = counter_fd >= 0 ? counter_read(counter_fd) : 0;
    char begin[256], end[128], count[32] = "-";
    snprintf(begin, sizeof(begin), "%s %s %s", variable("POOLHERD_POOL"), variable("POOLHERD_NODE"),
        variable("POOLHERD_EPOCH"));
    snprintf(end, sizeof(end), "%s %ld", variable("POOLHERD_VM"), (long)getpid());
    signal(SIGTERM, on_term);
    for (;;) {
        char line[512];
        if (counter_fd >= 0) {
            if (counter_write(counter_fd, ++counter) != 0)
                return 1;
            snprintf(count, sizeof(count), "%llu", counter);
        }
        int length = snprintf(line, sizeof(line), "%s %lld %s %s\n", begin, now_ns(), end, count);
        if (length > 0 && write(fd, line, (size_t)length) < 0 && errno != EINTR)
            return 1;
        if (asked && !asked_ns)
            asked_ns = now_ns();
        if (asked && now_ns() - asked_ns >= stubborn_ns)
            return 0;
        nanosleep(&(struct timespec){0, PERIOD_NS}, NULL);
    }
}
