#include "tests/unit/stream/stream_test.h"

#include <time.h>

static _Atomic uint64_t seen_sum;
static _Atomic int64_t seen_bytes, answer_bytes;
static atomic_bool hold; /* receivers wait while it is set */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int inside;
static atomic_int inside_most;

static void enter(void)
{
    pthread_mutex_lock(&lock);
    inside++;
    inside_most = inside > inside_most ? inside : inside_most;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_inside(int count)
{
    pthread_mutex_lock(&lock);
    while (inside < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void leave(void)
{
    pthread_mutex_lock(&lock);
    inside--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void release(void)
{
    pthread_mutex_lock(&lock);
    atomic_store(&hold, false);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Reads everything, answers with answer_bytes, waits for the close. */
static int echo(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    struct ph_stream_close theirs;
    enter();
    pthread_mutex_lock(&lock);
    while (atomic_load(&hold) && !atomic_load(context->cancelled)) {
        struct timespec limit;
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_nsec += 20000000;
        if (limit.tv_nsec >= 1000000000) {
            limit.tv_sec++;
            limit.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&changed, &lock, &limit);
    }
    pthread_mutex_unlock(&lock);
    uint64_t sum = 0;
    int64_t bytes = read_all(ph_stream_fd(stream), &sum);
    seen_sum = sum;
    seen_bytes = bytes;
    write_bytes(ph_stream_fd(stream), answer_bytes, NULL);
    shutdown(ph_stream_fd(stream), SHUT_WR);
    int rv = ph_stream_wait_close(stream, &theirs, 10000, error);
    leave();
    if (rv != 0)
        return rv;
    ph_text_format(copy_out->hash, sizeof copy_out->hash, "%s", theirs.hash);
    copy_out->bytes = bytes;
    copy_out->epoch = open->epoch;
    ph_record_fini(&ph_record_stream_close, &theirs);
    return 0;
}

static int finish(struct ph_stream *stream, struct ph_error *error)
{
    struct ph_stream_close theirs, mine = {.complete = true};
    char hash[] = "cafe";
    mine.hash = hash;
    int rv = ph_stream_finish(stream, &mine, &theirs, 10000, error);
    if (rv == 0)
        assert_string_equal("cafe", theirs.hash);
    ph_record_fini(&ph_record_stream_close, &theirs);
    return rv;
}

static void both_ways(void **state)
{
    static const struct {
        int64_t out, back;
    } cases[] = {{0, 0}, {1, 1}, {100000, 3}, {64 * 1024 * 1024, 20 * 1024 * 1024}};
    struct pair pair;
    (void)state;
    test_receive = echo;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_error error = {0};
        struct ph_stream *stream;
        uint64_t sum = 0;
        _Atomic int64_t counted = 0;
        pair_init(&pair, 0);
        test_data.copy_epoch = 4;
        test_data.copy_sequence = 17;
        answer_bytes = cases[i].back;
        pair_allow(&pair, "web", 5, pair.owner.public_key);
        assert_int_equal(0, pair_connect(&pair, 5000, &stream, &error));
        ph_stream_count_into(stream, &counted);
        assert_int_equal(4, ph_stream_opened(stream)->have_epoch);
        assert_int_equal(17, ph_stream_opened(stream)->have_sequence);
        assert_string_equal("holder", ph_stream_peer(stream));
        assert_true(write_bytes(ph_stream_fd(stream), cases[i].out, &sum));
        shutdown(ph_stream_fd(stream), SHUT_WR);
        assert_int_equal(cases[i].back, read_all(ph_stream_fd(stream), NULL));
        assert_int_equal(0, finish(stream, &error));
        assert_int_equal(cases[i].out, seen_bytes);
        assert_true(sum == seen_sum);
        assert_int_equal(cases[i].out + cases[i].back, ph_stream_bytes(stream));
        assert_int_equal(cases[i].out + cases[i].back, atomic_load(&counted));
        assert_int_equal(1, atomic_load(&test_received));
        ph_stream_destroy(&stream);
        assert_null(stream);
        pair_fini(&pair);
    }
}

/* Single bytes at a reader that does not read: the queue stays bounded in frames too, and nothing is
 * lost. */
static void slow_reader(void **state)
{
    struct pair pair;
    struct ph_error error = {0};
    struct ph_stream *stream;
    int64_t accepted = 0;
    (void)state;
    test_receive = echo;
    answer_bytes = 0;
    atomic_store(&hold, true);
    pair_init(&pair, 0);
    pair_allow(&pair, "web", 5, pair.owner.public_key);
    assert_int_equal(0, pair_connect(&pair, 5000, &stream, &error));
    char block[1000] = {0};
    struct pollfd item = {.fd = ph_stream_fd(stream), .events = POLLOUT};
    while (poll(&item, 1, 500) == 1) { /* until nothing moves any more */
        ssize_t put = send(item.fd, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT);
        accepted += put > 0 ? put : 0;
    }
    /* The window, and what the two socketpairs hold. */
    assert_true(accepted >= PH_STREAM_CREDIT_BYTES);
    assert_true(accepted < PH_STREAM_CREDIT_BYTES + 8 * 1024 * 1024);
    assert_in_range(ph_stream_bytes(stream), 1, PH_STREAM_CREDIT_BYTES + 1024 * 1024);
    release();
    assert_int_equal(0, finish(stream, &error));
    assert_int_equal(accepted, seen_bytes);
    ph_stream_destroy(&stream);
    pair_fini(&pair);
}

static void refused(void **state)
{
    static const struct {
        const char *allowed, *asked, *driver;
        int64_t epoch;
        bool key, again;
        const char *reason;
    } cases[] = {
        {"other", "web", "test", 5, true, true, "no order"},
        {"web", "web", "test", 6, true, false, "epoch 5 of pool web is older than 6"},
        {"web", "web", "btrfs", 5, true, true, "declared with driver test"},
        {"web", "web", "test", 5, false, true, "did not let us in"},
    };
    (void)state;
    test_receive = echo;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair pair;
        struct ph_error error = {0};
        struct ph_stream *stream = NULL;
        struct ph_identity_file stranger;
        assert_int_equal(0, ph_identity_make("stranger", &stranger));
        pair_init(&pair, 0);
        pair_allow(&pair, cases[i].allowed, cases[i].epoch,
            cases[i].key ? pair.owner.public_key : stranger.public_key);
        ph_text_format(pair.open.pool, sizeof pair.open.pool, "%s", cases[i].asked);
        ph_text_format(pair.open.driver, sizeof pair.open.driver, "%s", cases[i].driver);
        uint64_t begun_ms = ph_clock_boot_ms();
        int rv = pair_connect(&pair, 600, &stream, &error);
        assert_int_equal(cases[i].key ? -EPERM : -ETIMEDOUT, rv);
        assert_null(stream);
        if (strstr(error.message, cases[i].reason) == NULL)
            fail_msg("case %zu: %s", i, error.message);
        if (cases[i].again)
            assert_true(ph_clock_boot_ms() - begun_ms >= 500);
        assert_int_equal(0, atomic_load(&test_received));
        pair_fini(&pair);
    }
}

static void *allow_late(void *argument)
{
    struct pair *pair = argument;
    struct timespec span = {.tv_nsec = 200000000};
    nanosleep(&span, NULL); /* what is tested is that an order may come after its copy */
    pair_allow(pair, "web", 5, pair->owner.public_key);
    return NULL;
}

static void order_comes_later(void **state)
{
    (void)state;
    test_receive = echo;
    answer_bytes = 0;
    for (int known = 0; known < 2; known++) {
        struct pair pair;
        struct ph_error error = {0};
        struct ph_stream *stream;
        pthread_t thread;
        pair_init(&pair, 0);
        if (known) /* then the key may connect and the open is refused; else the key is */
            pair_allow(&pair, "other", 1, pair.owner.public_key);
        assert_int_equal(0, pthread_create(&thread, NULL, allow_late, &pair));
        assert_int_equal(0, pair_connect(&pair, 5000, &stream, &error));
        assert_int_equal(0, finish(stream, &error));
        pthread_join(thread, NULL);
        ph_stream_destroy(&stream);
        pair_fini(&pair);
    }
}

static int fail_at_once(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    (void)context;
    (void)stream;
    (void)open;
    (void)copy_out;
    return ph_error_set(error, PH_FAILED, NULL, "the disk is full; make room on %s", "holder");
}

/* The receiver's failure ends the sender's tool and names the reason. */
static void receiver_fails(void **state)
{
    struct pair pair;
    struct ph_error error = {0};
    struct ph_stream *stream;
    (void)state;
    test_receive = fail_at_once;
    pair_init(&pair, 0);
    pair_allow(&pair, "web", 5, pair.owner.public_key);
    assert_int_equal(0, pair_connect(&pair, 5000, &stream, &error));
    assert_false(write_bytes(ph_stream_fd(stream), (int64_t)1 << 40, NULL));
    assert_int_equal(-EIO, finish(stream, &error));
    assert_string_equal("the disk is full; make room on holder", error.message);
    ph_stream_destroy(&stream);
    assert_int_equal(0, atomic_load(&test_received));
    pair_fini(&pair);
}

static int last_rv;
static char last_reason[1024];

static int remember(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    last_rv = echo(context, stream, open, copy_out, error);
    pthread_mutex_lock(&lock);
    ph_text_format(
        last_reason, sizeof last_reason, "%s", last_rv != 0 ? error->message : "complete");
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return last_rv;
}

static void wait_reason(void)
{
    pthread_mutex_lock(&lock);
    while (last_reason[0] == '\0')
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

/* The sender goes away, says that it failed, or is cancelled: the receiver ends at once, incomplete. */
static void sender_ends(void **state)
{
    (void)state;
    test_receive = remember;
    answer_bytes = 0;
    for (int way = 0; way < 3; way++) {
        struct pair pair;
        struct ph_error error = {0};
        struct ph_stream *stream;
        struct ph_stream_close theirs, mine = {.complete = false};
        char reason[] = "the source cannot be read";
        last_reason[0] = '\0';
        pair_init(&pair, 0);
        pair_allow(&pair, "web", 5, pair.owner.public_key);
        assert_int_equal(0, pair_connect(&pair, 5000, &stream, &error));
        assert_true(write_bytes(ph_stream_fd(stream), 1000000, NULL));
        wait_inside(1);
        uint64_t begun_ms = ph_clock_boot_ms();
        if (way == 0) {
            ph_stream_destroy(&stream);
        } else if (way == 1) {
            mine.reason = reason;
            assert_int_equal(-EIO, ph_stream_finish(stream, &mine, &theirs, 5000, &error));
        } else {
            atomic_store(&pair.cancelled, true);
            mine.complete = true;
            assert_int_equal(-ECANCELED, ph_stream_finish(stream, &mine, &theirs, 5000, &error));
        }
        wait_reason();
        assert_true(ph_clock_boot_ms() - begun_ms < 3000);
        assert_int_not_equal(0, last_rv);
        if (way == 1)
            assert_string_equal(reason, last_reason);
        ph_stream_destroy(&stream);
        pair_fini(&pair);
        assert_int_equal(0, atomic_load(&test_received));
    }
}

/* The holder's orders change under a receive; its server goes away. */
static void holder_ends(void **state)
{
    (void)state;
    test_receive = remember;
    for (int way = 0; way < 3; way++) {
        struct pair pair;
        struct ph_error error = {0};
        struct ph_stream *stream;
        struct ph_identity_file other;
        last_reason[0] = '\0';
        assert_int_equal(0, ph_identity_make("other", &other));
        pair_init(&pair, 0);
        pair_allow(&pair, "web", 5, pair.owner.public_key);
        assert_int_equal(0, pair_connect(&pair, 5000, &stream, &error));
        wait_inside(1);
        uint64_t begun_ms = ph_clock_boot_ms();
        if (way == 0) {
            pair_refuse(&pair, "web"); /* waits for its end */
            assert_string_not_equal("", last_reason);
        } else if (way == 1) {
            pair_allow(&pair, "web", 6, other.public_key);
        } else {
            ph_stream_server_stop(&pair.server);
        }
        uint64_t sum = 0;
        read_all(ph_stream_fd(stream), &sum);
        assert_int_equal(-EIO, finish(stream, &error));
        assert_true(ph_clock_boot_ms() - begun_ms < 3000);
        assert_true(error.message[0] != '\0');
        ph_stream_destroy(&stream);
        pair_fini(&pair);
        assert_int_equal(0, atomic_load(&test_received));
    }
}

struct one {
    struct pair *pair;
    char pool[16];
    int rv;
};

static void *copy_one(void *argument)
{
    struct one *one = argument;
    struct ph_stream_open open;
    struct ph_stream *stream = NULL;
    struct ph_error error = {0};
    memset(&open, 0, sizeof open);
    memcpy(&open, &one->pair->open, sizeof open);
    ph_text_format(open.pool, sizeof open.pool, "%s", one->pool);
    one->rv =
        ph_stream_connect(&one->pair->owner, &one->pair->peer, &open, NULL, 10000, &stream, &error);
    if (one->rv == 0 && !write_bytes(ph_stream_fd(stream), 500000, NULL))
        one->rv = -EPIPE;
    if (one->rv == 0)
        one->rv = finish(stream, &error);
    ph_stream_destroy(&stream);
    return NULL;
}

static void only_so_many_at_once(void **state)
{
    struct pair pair;
    struct one ones[6];
    pthread_t threads[6];
    (void)state;
    test_receive = echo;
    answer_bytes = 0;
    atomic_store(&hold, true);
    inside_most = 0;
    pair_init(&pair, 2);
    for (int i = 0; i < 6; i++) {
        ones[i] = (struct one){.pair = &pair};
        ph_text_format(ones[i].pool, sizeof ones[i].pool, "pool%d", i);
        pair_allow(&pair, ones[i].pool, 5, pair.owner.public_key);
    }
    for (int i = 0; i < 6; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, copy_one, &ones[i]));
    wait_inside(2);
    release();
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(0, ones[i].rv);
    }
    assert_int_equal(2, inside_most);
    assert_int_equal(6, atomic_load(&test_received));
    pair_fini(&pair);
}

static void nobody_there(void **state)
{
    struct pair pair;
    struct ph_error error = {0};
    struct ph_stream *stream = NULL;
    (void)state;
    pair_init(&pair, 0);
    pair_allow(&pair, "web", 5, pair.owner.public_key);
    ph_stream_server_stop(&pair.server);
    assert_int_equal(-ETIMEDOUT, pair_connect(&pair, 300, &stream, &error));
    assert_null(stream);
    assert_int_equal(PH_UNREACHED, error.code);
    atomic_store(&pair.cancelled, true);
    assert_int_equal(-ECANCELED, pair_connect(&pair, 60000, &stream, &error));
    ph_record_fini(&ph_record_peer, &pair.peer);
    assert_int_equal(-EIO < 0, pair_connect(&pair, 300, &stream, &error) < 0);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(refused),
        cmocka_unit_test(order_comes_later),
        cmocka_unit_test(receiver_fails),
        cmocka_unit_test(sender_ends),
        cmocka_unit_test(holder_ends),
        cmocka_unit_test(only_so_many_at_once),
        cmocka_unit_test(nobody_there),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
