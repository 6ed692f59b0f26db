#include "agent/guard/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/text.h"
#include "poolherd/limits.h"

#define PERIODS_PER_TIMEOUT 4
#define PERIOD_MS_UNKNOWN 1000 /* of a device that does not say its time-out */

__attribute__((format(printf, 2, 3))) static void problem_set(
    struct ph_watchdog *watchdog, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    ph_text_vformat(watchdog->problem, sizeof watchdog->problem, format, arguments);
    va_end(arguments);
    ph_log(PH_LOG_ERROR, "watchdog", "problem=\"%s\"", watchdog->problem);
}

static void open_it(struct ph_watchdog *watchdog)
{
    const char *device = watchdog->device, *step = "";
    int seconds = 0;
    watchdog->problem[0] = '\0';
    /* Opening it starts it. */
    watchdog->fd = open(device, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (watchdog->fd < 0) {
        problem_set(watchdog, "the watchdog %s cannot be opened: %s", device, strerror(errno));
        return;
    }
    int rv = ph_watchdog_system_set(watchdog->fd, watchdog->wanted_s, &seconds, &step);
    if (rv != 0)
        problem_set(
            watchdog, "%s is not counted on as a watchdog: %s: %s", device, step, strerror(-rv));
    else if (watchdog->wanted_s > 0 && seconds != watchdog->wanted_s)
        problem_set(watchdog,
            "the watchdog %s has a time-out of %d s, though watchdog_s asks for %d", device,
            seconds, watchdog->wanted_s);
    else if (seconds > PH_LEASE_MS_MAX / 1000)
        problem_set(watchdog,
            "the watchdog %s has a time-out of %d s; set watchdog_s to %d at most", device, seconds,
            PH_LEASE_MS_MAX / 1000);
    if (rv == 0 && seconds > 0 && seconds <= PH_LEASE_MS_MAX / 1000)
        watchdog->timeout_ms = (uint64_t)seconds * 1000;
    watchdog->period_ms =
        watchdog->timeout_ms > 0 ? watchdog->timeout_ms / PERIODS_PER_TIMEOUT : PERIOD_MS_UNKNOWN;
    watchdog->next_ms = 0;
    ph_log(PH_LOG_NOTICE, "watchdog", "device=%s timeout_ms=%llu", device,
        (unsigned long long)watchdog->timeout_ms);
}

void ph_watchdog_want(struct ph_watchdog *watchdog, const char *device, int wanted_s)
{
    bool same = strcmp(watchdog->device, device) == 0 && watchdog->wanted_s == wanted_s;
    if (same && (watchdog->fd >= 0 || device[0] == '\0'))
        return;
    ph_watchdog_close(watchdog, true);
    watchdog->problem[0] = '\0';
    ph_text_format(watchdog->device, sizeof watchdog->device, "%s", device);
    watchdog->wanted_s = wanted_s;
    if (device[0] != '\0')
        open_it(watchdog);
}

void ph_watchdog_feed(struct ph_watchdog *watchdog, uint64_t now_ms)
{
    if (watchdog->fd < 0 || now_ms < watchdog->next_ms)
        return;
    watchdog->next_ms = now_ms + watchdog->period_ms;
    /* Any byte feeds; 'V' alone has a meaning of its own. */
    if (write(watchdog->fd, "k", 1) == 1 || watchdog->timeout_ms == 0)
        return;
    problem_set(watchdog, "the watchdog %s cannot be fed: %s", watchdog->device, strerror(errno));
    watchdog->timeout_ms = 0;
}

void ph_watchdog_close(struct ph_watchdog *watchdog, bool clean)
{
    if (watchdog->fd < 0)
        return;
    if (clean && write(watchdog->fd, "V", 1) != 1)
        problem_set(
            watchdog, "the watchdog %s cannot be stopped: %s", watchdog->device, strerror(errno));
    close(watchdog->fd);
    watchdog->fd = -1;
    watchdog->timeout_ms = 0;
}
