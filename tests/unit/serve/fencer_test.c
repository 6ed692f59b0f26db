/* The threads that run fence agents for the manager. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/file.h"
#include "manager/serve/fencer.h"

static char directory[] = "/tmp/poolherd-fencer-XXXXXX";
static struct serve_wakeup wakeup;

static void give(
    struct serve_fencer *fencer, const char *agent, int64_t number, enum ph_fence_action action)
{
    struct ph_fence_run run = {.number = number,
        .term = 1,
        .node = "n1",
        .device = "d",
        .action = action,
        .timeout_ms = 10000};

    assert_int_equal(ph_set_text(&run.manager, "m"), 0);
    assert_int_equal(ph_set_text(&run.agent, agent), 0);
    assert_int_equal(serve_fencer_give(fencer, &run), 0);
    assert_null(run.agent); /* it was taken */
}

/* The answers as numbers in the order they came, until there are so many. */
static void collect(struct serve_fencer *fencer, int64_t *numbers, size_t count)
{
    uint64_t end_ms = ph_clock_boot_ms() + 60000;
    size_t got = 0;

    while (got < count) {
        struct pollfd item = {.fd = wakeup.read_fd, .events = POLLIN};
        struct serve_fence_call *call;

        assert_true(ph_clock_boot_ms() < end_ms);
        (void)poll(&item, 1, 100);
        serve_wakeup_clear(&wakeup);
        call = serve_fencer_take(fencer);
        while (call != NULL) {
            struct serve_fence_call *next = call->next;

            assert_true(got < count);
            numbers[got++] = call->ran.number;
            assert_int_equal(call->ran.power, PH_POWER_OFF);
            serve_fence_call_destroy(&call);
            call = next;
        }
    }
}

static void every_call_is_answered(void **state)
{
    struct serve_fencer *fencer = NULL;
    int64_t numbers[200];
    bool seen[200] = {0};

    (void)state;
    assert_int_equal(serve_fencer_new(&wakeup, &fencer), 0);
    for (int64_t i = 0; i < 200; i++)
        give(fencer, "fence_quick", i + 1, PH_FENCE_STATUS);
    collect(fencer, numbers, 200);
    for (size_t i = 0; i < 200; i++) {
        assert_false(seen[numbers[i] - 1]);
        seen[numbers[i] - 1] = true;
    }
    assert_true(serve_fencer_destroy(&fencer));
    assert_null(fencer);
}

static void what_switches_goes_before_what_asks(void **state)
{
    struct serve_fencer *fencer = NULL;
    int64_t numbers[SERVE_FENCE_THREADS + 41];

    (void)state;
    assert_int_equal(serve_fencer_new(&wakeup, &fencer), 0);
    for (int64_t i = 0; i < SERVE_FENCE_THREADS; i++)
        give(fencer, "fence_slow", 1000 + i, PH_FENCE_STATUS); /* every thread is busy */
    for (int64_t i = 0; i < 40; i++)
        give(fencer, "fence_slow", 2000 + i, PH_FENCE_STATUS);
    give(fencer, "fence_slow", 3000, PH_FENCE_OFF);
    collect(fencer, numbers, SERVE_FENCE_THREADS + 41);
    for (size_t i = 0; i < SERVE_FENCE_THREADS + 41; i++) {
        if (numbers[i] != 3000)
            continue;
        assert_true(i < SERVE_FENCE_THREADS + 36);
        break;
    }
    assert_true(serve_fencer_destroy(&fencer));
}

static void the_end_does_not_wait_for_what_hangs(void **state)
{
    struct serve_fencer *fencer = NULL;
    uint64_t began_ms = ph_clock_boot_ms();

    (void)state;
    assert_int_equal(serve_fencer_new(&wakeup, &fencer), 0);
    assert_true(serve_fencer_destroy(&fencer)); /* nothing runs */
    assert_true(serve_fencer_destroy(&fencer)); /* nor is there anything */
    assert_int_equal(serve_fencer_new(&wakeup, &fencer), 0);
    give(fencer, "fence_slow", 1, PH_FENCE_STATUS);
    struct serve_fencer *kept = fencer;
    if (!serve_fencer_destroy(&fencer)) { /* as the manager does it: the process would end now */
        int64_t number;

        collect(kept, &number, 1);
        assert_true(serve_fencer_destroy(&kept));
    }
    assert_true(ph_clock_boot_ms() - began_ms < 30000);
}

static void make_agent(const char *name, const char *body)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", body);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static int set_up(void **state)
{
    char path[4200];

    (void)state;
    if (mkdtemp(directory) == NULL || serve_wakeup_init(&wakeup) != 0)
        return -1;
    make_agent("fence_quick", "exit 2");
    make_agent("fence_slow", "sleep 0.5; exit 2");
    snprintf(path, sizeof path, "%s:%s", directory, getenv("PATH"));
    return setenv("PATH", path, 1);
}

static int tear_down(void **state)
{
    (void)state;
    serve_wakeup_fini(&wakeup);
    return ph_tree_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_is_answered),
        cmocka_unit_test(what_switches_goes_before_what_asks),
        cmocka_unit_test(the_end_does_not_wait_for_what_hangs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
