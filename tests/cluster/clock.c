/*
 * A clock that a test sets: preloaded into one daemon, it adds the number of nanoseconds in the file
 * named by POOLHERD_TEST_CLOCK (8 bytes, which the test changes while the daemon runs) to CLOCK_REALTIME.
 * All other clocks stay as they are, as they do when an operator or NTP sets the time of day.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static volatile const int64_t *offset_ns;

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("POOLHERD_TEST_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *offset_ns, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        offset_ns = page;
}

static int shifted(struct timespec *now)
{
    int rv = (int)syscall(SYS_clock_gettime, CLOCK_REALTIME, now);
    if (rv == 0 && offset_ns != NULL) {
        int64_t ns = now->tv_nsec + *offset_ns % SECOND_NS;
        now->tv_sec += *offset_ns / SECOND_NS;
        now->tv_sec += ns / SECOND_NS - (ns % SECOND_NS < 0);
        now->tv_nsec = ns % SECOND_NS + (ns % SECOND_NS < 0 ? SECOND_NS : 0);
    }
    return rv;
}

/* The C library's own names: this library is in front of it. */
int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        return shifted(now);
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "clock_gettime");
        *(void **)&real = found;
    }
    return real != NULL ? real(id, now) : (int)syscall(SYS_clock_gettime, id, now);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    int rv = shifted(&exact);
    if (rv == 0)
        *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return rv;
}

time_t time(time_t *out)
{
    struct timespec exact;
    time_t now = shifted(&exact) == 0 ? exact.tv_sec : (time_t)-1;
    if (out != NULL)
        *out = now;
    return now;
}
