/*
 * Inside the guest of tests/guests/watchdog: the part of an agent. Starts a guard that feeds the guest's
 * watchdog, holds a lease for a while, and says on the console what happened and when.
 *
 *     guest_lease clean     nothing runs; the guard is told to end: the watchdog must be stopped
 *     guest_lease stuck     a pool that cannot be stopped; the lease ends: the machine must be reset
 *     guest_lease killed    a lease that is extended; guard and agent are killed: the machine must be reset
 *     guest_lease held      a lease that is extended for longer than any time-out: nothing must happen
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "agent/guard/guard.h"
#include "base/clock.h"

#define DIRECTORY "/agent"
#define WATCHDOG_S 2
#define LEASE_MS 1500
#define LEASE_MS_HELD 15000 /* however slow the guest is: the guard alone has to be in time */

static void say(const char *word)
{
    printf("guest %s at=%llu\n", word, (unsigned long long)ph_clock_boot_ms());
    fflush(stdout);
}

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static pid_t guard_pid(void)
{
    long pid = 0;
    FILE *file = fopen(DIRECTORY "/run/guard.lock", "r");
    if (file == NULL || fscanf(file, "%ld", &pid) != 1)
        say("guard-unknown");
    if (file != NULL)
        fclose(file);
    return (pid_t)pid;
}

/* A group of a pool that says that something is left in it, for ever. */
static int stuck_pool(struct ph_guard *guard)
{
    FILE *file;
    mkdir("/stuck", 0700);
    file = fopen("/stuck/cgroup.events", "w");
    if (file == NULL || fputs("populated 1\n", file) < 0 || fclose(file) != 0)
        return -1;
    return ph_guard_add_pool(guard, "stuck", "/stuck", "mark");
}

static void beat(void)
{
    for (;;) {
        say("alive");
        sleep_ms(50);
    }
}

int main(int argc, char **argv)
{
    const struct ph_guard_settings settings = {
        DIRECTORY, "/bin/poolherd-guard", 500, "/dev/watchdog", WATCHDOG_S};
    const char *kind = argc > 1 ? argv[1] : "";
    struct ph_guard *guard;
    struct ph_error error;
    mkdir(DIRECTORY, 0700);
    if (ph_guard_connect_with(&settings, &guard, &error) != 0) {
        printf("guest failed: %s\n", error.message);
        return 1;
    }
    printf("guest watchdog_ms=%llu problem=\"%s\"\n",
        (unsigned long long)ph_guard_watchdog_ms(guard), ph_guard_problem(guard));
    struct ph_lease_page *page = ph_guard_page(guard);
    const uint64_t lease_ms = strcmp(kind, "held") == 0 ? LEASE_MS_HELD : LEASE_MS;
    uint64_t deadline_ms = ph_clock_boot_ms() + lease_ms;
    if (ph_lease_begin(page, 1, deadline_ms) != 0 || stuck_pool(guard) != 0) {
        say("failed");
        return 1;
    }
    if (strcmp(kind, "clean") == 0) {
        FILE *file = fopen("/stuck/cgroup.events", "w");
        if (file != NULL) {
            fputs("populated 0\n", file);
            fclose(file);
        }
        ph_guard_stop(guard);
        say("stopped");
        beat();
    }
    if (fork() == 0)
        beat();
    if (strcmp(kind, "stuck") == 0) {
        printf("guest lease-ends at=%llu\n", (unsigned long long)deadline_ms);
        fflush(stdout);
        sleep_ms(60000);
        return 0;
    }
    uint64_t now_ms = ph_clock_boot_ms(), until_ms = now_ms + 3000;
    for (; strcmp(kind, "held") == 0 || now_ms < until_ms; now_ms = ph_clock_boot_ms()) {
        ph_lease_extend(page, 1, now_ms + lease_ms, now_ms);
        sleep_ms(100);
    }
    kill(guard_pid(), SIGKILL);
    say("killed");
    return 0; /* the agent is gone as well */
}
