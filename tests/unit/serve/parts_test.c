/* The small parts of the shell by themselves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "manager/serve/commits.h"
#include "manager/serve/house.h"
#include "manager/serve/outbox.h"
#include "manager/serve/quiet.h"
#include "manager/serve/requests.h"
#include "manager/serve/settings.h"
#include "base/file.h"

static void letters_leave_in_order_and_only_after_their_batch(void **state)
{
    struct serve_outbox outbox = {0};
    struct serve_letter letter;
    int64_t i, taken = 0;

    (void)state;
    for (i = 0; i < 300; i++) { /* wraps around and grows */
        struct serve_letter *added = serve_outbox_add(&outbox);

        assert_non_null(added);
        added->after = (uint64_t)i / 10;
        added->id = i;
        if (i % 3 == 2) {
            assert_true(serve_outbox_take(&outbox, UINT64_MAX, &letter));
            assert_int_equal(letter.id, taken++);
        }
    }
    while (serve_outbox_take(&outbox, 15, &letter)) {
        assert_int_equal(letter.id, taken++);
        assert_true(letter.after <= 15);
    }
    assert_int_equal(taken, 160);
    assert_false(serve_outbox_take(&outbox, 15, &letter));
    serve_outbox_fini(&outbox);
}

static void requests_are_answered_once_in_any_order(void **state)
{
    struct serve_requests requests = {0};
    struct serve_request request;
    uint64_t handles[SERVE_REQUESTS_MAX];
    size_t i;

    (void)state;
    for (i = 0; i < SERVE_REQUESTS_MAX; i++) {
        struct serve_request *added = serve_request_add(&requests);

        assert_non_null(added);
        added->id = (int64_t)i;
        handles[i] = added->handle;
    }
    assert_null(serve_request_add(&requests)); /* a limit on everything */
    for (i = 0; i < SERVE_REQUESTS_MAX; i++) {
        size_t pick = i * 7 % SERVE_REQUESTS_MAX;

        assert_true(serve_request_take(&requests, handles[pick], &request));
        assert_int_equal(request.id, pick);
        assert_false(serve_request_take(&requests, handles[pick], &request));
    }
    assert_int_equal(requests.count, 0);
    serve_requests_fini(&requests);
}

static void a_noisy_peer_fills_no_log(void **state)
{
    struct serve_quiet quiet = {0};
    unsigned kept, lines = 0, i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        lines += serve_quiet_pass(&quiet, 5, &kept);
    }
    assert_int_equal(lines, 10);
    assert_true(serve_quiet_pass(&quiet, 10005, &kept));
    assert_int_equal(kept, 990);
    assert_int_equal(quiet.total, 1001);
}

static void nothing_counts_after_a_failed_commit(void **state)
{
    struct serve_commits commits;
    enum ph_store_result result;
    char message[PH_TEXT_BYTES_MAX + 1];
    uint64_t done = 0;

    (void)state;
    serve_commits_init(&commits, NULL);
    serve_commits_done(&commits, 1, PH_STORE_OK, "");
    serve_commits_done(&commits, 2, PH_STORE_OK, "");
    assert_true(serve_commits_look(&commits, &done, &result, message));
    assert_int_equal(done, 2);
    serve_commits_done(&commits, 3, PH_STORE_UNAVAILABLE, "disk full");
    serve_commits_done(&commits, 4, PH_STORE_OK, "");
    serve_commits_done(&commits, 5, PH_STORE_UNKNOWN, "other");
    assert_false(serve_commits_look(&commits, &done, &result, message));
    assert_int_equal(done, 2);
    assert_int_equal(result, PH_STORE_UNAVAILABLE);
    assert_string_equal(message, "disk full");
    serve_commits_fini(&commits);
}

static void an_address_that_means_everywhere_is_made_reachable(void **state)
{
    char out[256], host[128];

    (void)state;
    serve_endpoint_reachable("tcp://192.0.2.1:7460", true, out, sizeof out);
    assert_string_equal(out, "tcp://192.0.2.1:7460");
    serve_endpoint_reachable("tcp://0.0.0.0:7460", false, out, sizeof out);
    assert_string_equal(out, "tcp://127.0.0.1:7460");
    serve_endpoint_reachable("tcp://[::]:7460", false, out, sizeof out);
    assert_string_equal(out, "tcp://127.0.0.1:7460");
    assert_int_equal(gethostname(host, sizeof host), 0);
    serve_endpoint_reachable("tcp://0.0.0.0:7460", true, out, sizeof out);
    assert_non_null(strstr(out, host));
}

static void settings_come_from_profile_file_and_argument(void **state)
{
    static const struct {
        const char *text, *field; /* field: of the complaint, NULL: good */
        uint64_t beat_ms, lease_ms;
    } cases[] = {
        {"", NULL, 200, 1200},
        {"# nothing\n", NULL, 200, 1200},
        {"profile: fast\n", NULL, 80, 400},
        {"profile: gentle\nbeat_ms: 500\n", NULL, 500, 10000},
        {"{\"lease_ms\": 5000}\n", NULL, 200, 5000},
        {"clock_drift: \"0.01\"\n", NULL, 200, 1200},
        {"clock_drift: fast\n", "clock_drift", 0, 0},
        {"clock_drift: nan\n", "clock_drift", 0, 0},
        {"clock_drift: \"0.5\"\n", "clock_drift", 0, 0},
        {"log_level: loud\n", "log_level", 0, 0},
        {"lease_ms: 100\n", "lease", 0, 0},
        {"lease: 100\n", "manager.yaml", 0, 0},
        {"beat_ms: -1\n", "manager.yaml", 0, 0},
        {"history_days: 0\n", "manager.yaml", 0, 0},
        {"- a\n", "manager.yaml", 0, 0},
        {"profile: [fast\n", "manager.yaml", 0, 0},
    };
    char directory[] = "/tmp/ph-settings-XXXXXX", path[64];
    size_t i;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/manager.yaml", directory);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_serve_options options = {.directory = directory, .listen = "tcp://127.0.0.1:1"};
        struct serve_settings settings = {0};
        struct ph_error error = {0};
        int rv;

        assert_int_equal(ph_file_replace(path, cases[i].text, strlen(cases[i].text), 0600), 0);
        rv = serve_settings_read(&options, &settings, &error);
        if ((rv == 0) != (cases[i].field == NULL)) {
            fail_msg("case %zu: %s", i, error.message);
        }
        if (rv == 0) {
            assert_int_equal(settings.core.timing.beat_ms, cases[i].beat_ms);
            assert_int_equal(settings.core.timing.lease_ms, cases[i].lease_ms);
            assert_string_equal(settings.file.listen, "tcp://127.0.0.1:1");
        } else if (strstr(error.field, cases[i].field) == NULL) {
            fail_msg("case %zu: field %s: %s", i, error.field, error.message);
        }
        serve_settings_fini(&settings);
    }
    ph_tree_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_leave_in_order_and_only_after_their_batch),
        cmocka_unit_test(requests_are_answered_once_in_any_order),
        cmocka_unit_test(a_noisy_peer_fills_no_log),
        cmocka_unit_test(nothing_counts_after_a_failed_commit),
        cmocka_unit_test(an_address_that_means_everywhere_is_made_reachable),
        cmocka_unit_test(settings_come_from_profile_file_and_argument),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
