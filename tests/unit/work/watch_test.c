/* The watcher against monitors that are not QEMU's: one that hangs or talks nonsense hides nobody else. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent/work/watch.h"
#include "base/clock.h"
#include "base/file.h"

#define SEEN_MS 20000

struct fake {
    int listener;
    bool silent, nonsense;
    pthread_t thread;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[] = "/tmp/poolherd-watch-XXXXXX";
static char seen_guest[256], seen_reason[256]; /* every state that was seen, and the last reason */
static int64_t seen_disk;
static int seen_others;

static void seen(
    void *context, const char *pool, const char *vm, pid_t pid, const struct ph_vm_report *report)
{
    (void)context;
    pthread_mutex_lock(&lock);
    if (strcmp(pool, "p") == 0 && strcmp(vm, "good") == 0 && pid == getpid()) {
        size_t used = strlen(seen_guest);
        snprintf(
            seen_guest + used, sizeof seen_guest - used, " %s", report->guest ? report->guest : "");
        snprintf(seen_reason, sizeof seen_reason, "%s", report->reason ? report->reason : "");
        seen_disk = report->disk_used_mib;
    } else {
        seen_others++;
    }
    pthread_mutex_unlock(&lock);
}

static bool guest_is(const char *guest, const char *reason)
{
    pthread_mutex_lock(&lock);
    bool is = strstr(seen_guest, guest) != NULL && strstr(seen_reason, reason) != NULL;
    pthread_mutex_unlock(&lock);
    return is;
}

static void await(const char *guest, const char *reason)
{
    uint64_t until_ms = ph_clock_boot_ms() + SEEN_MS;
    while (!guest_is(guest, reason)) {
        if (ph_clock_boot_ms() > until_ms)
            fail_msg("%s was not seen; %s (%s) was", guest, seen_guest, seen_reason);
        poll(NULL, 0, 5);
    }
}

static void answer(int fd, const char *line, int *rounds)
{
    const char *id = strstr(line, "\"id\":");
    char text[512];
    const char *value = "{}";
    if (strstr(line, "query-status"))
        value = ++*rounds == 1 ? "{\"status\": \"running\"}" : "{\"status\": \"io-error\"}";
    else if (strstr(line, "query-named-block-nodes"))
        value = "[{\"drv\": \"file\", \"ro\": false, \"image\": {\"actual-size\": 104857600}}]";
    snprintf(text, sizeof text, "{\"return\": %s, \"id\": %d}\n", value, atoi(id + 5));
    send(fd, text, strlen(text), MSG_NOSIGNAL);
    if (*rounds == 1 && strstr(line, "query-chardev")) {
        const char *event =
            "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"node-name\": \"disk-root\", "
            "\"operation\": \"write\", \"reason\": \"no space\"}}\n";
        send(fd, event, strlen(event), MSG_NOSIGNAL);
    }
}

static void *serve(void *argument)
{
    struct fake *fake = argument;
    const char *greeting = fake->nonsense ? "what?\n" : "{\"QMP\": {}}\n";
    char bytes[4096];
    int rounds = 0, fd;
    while ((fd = accept(fake->listener, NULL, NULL)) >= 0) {
        if (!fake->silent)
            send(fd, greeting, strlen(greeting), MSG_NOSIGNAL);
        for (ssize_t got; (got = recv(fd, bytes, sizeof bytes - 1, 0)) > 0;) {
            bytes[got] = '\0';
            if (!fake->silent && !fake->nonsense)
                answer(fd, bytes, &rounds);
        }
        close(fd);
    }
    return NULL;
}

static void fake_start(struct fake *fake, const char *vm)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.watch", directory, vm);
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->listener, 4), 0);
    assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listener);
}

static void others_hide_nobody(void **state)
{
    (void)state;
    struct fake good = {0}, silent = {.silent = true}, nonsense = {.nonsense = true};
    struct ph_watcher *watcher = NULL;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(ph_watcher_start(seen, NULL, &watcher), 0);
    fake_start(&silent, "silent");
    fake_start(&nonsense, "nonsense");
    assert_int_equal(ph_watcher_add(watcher, "p", "silent", directory, getpid()), 0);
    assert_int_equal(ph_watcher_add(watcher, "p", "nonsense", directory, getpid()), 0);
    assert_int_equal(ph_watcher_add(watcher, "p", "nobody", directory, getpid()), 0);
    assert_int_equal(ph_watcher_add(watcher, "p", "good", directory, getpid()), 0);
    fake_start(&good, "good"); /* its socket comes after the watcher began to look for it */
    await("running", "");
    assert_int_equal(seen_disk, 100);
    /* The event makes it ask again at once, not in the next round. */
    uint64_t began_ms = ph_clock_boot_ms();
    await("io-error", "write of disk disk-root failed: no space");
    assert_true(ph_clock_boot_ms() - began_ms < 4000);
    ph_watcher_remove(watcher, "p", "good");
    ph_watcher_remove(watcher, "p", "unknown");
    ph_watcher_stop(&watcher);
    assert_null(watcher);
    assert_int_equal(seen_others, 0);
    fake_stop(&good);
    fake_stop(&silent);
    fake_stop(&nonsense);
    assert_int_equal(ph_tree_remove(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(others_hide_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
