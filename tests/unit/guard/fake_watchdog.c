/*
 * A watchdog device for tests: preloaded into the guard, it answers the requests that a real one would for any
 * file that is a pipe: WDIOC_SETTIMEOUT rounds up to POOLHERD_TEST_WATCHDOG_STEP seconds (1 unless set),
 * WDIOC_GETTIMEOUT answers what was set, at first 60. What is written stays what it is: bytes for the test
 * that reads the other end.
 */
#include <linux/watchdog.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int timeout_s = 60;

int ioctl(int fd, unsigned long request, ...);
int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    struct stat status;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if ((request != WDIOC_SETTIMEOUT && request != WDIOC_GETTIMEOUT) || fstat(fd, &status) != 0 ||
        !S_ISFIFO(status.st_mode))
        return (int)syscall(SYS_ioctl, fd, request, argument);
    if (request == WDIOC_SETTIMEOUT) {
        const char *word = getenv("POOLHERD_TEST_WATCHDOG_STEP");
        int step = word != NULL ? atoi(word) : 1;
        timeout_s = (*(int *)argument + step - 1) / step * step;
    }
    *(int *)argument = timeout_s;
    return 0;
}
