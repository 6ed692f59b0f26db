/* A writer that is killed at any moment: every batch it acknowledged is there, and none is half there. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"

#define ROUNDS 120
#define IN_FLIGHT 64
#define HISTORY_KEPT 2000

struct writer {
    struct ph_store *store;
    int acknowledge_fd;
    int64_t first; /* event id of batch 1 */
    sem_t room;
};

static void acknowledge(
    void *context, uint64_t number, enum ph_store_result result, const char *message)
{
    struct writer *writer = context;
    int64_t id = writer->first + (int64_t)number - 1;
    (void)message;
    if (result != PH_STORE_OK || write(writer->acknowledge_fd, &id, sizeof id) != sizeof id)
        _exit(3);
    sem_post(&writer->room);
}

/* Batch n: event n, and the pools left and right at epoch n. */
static struct ph_batch *batch_of(int64_t n)
{
    struct ph_batch *batch = ph_batch_new();
    struct ph_event event = {.id = n, .message = (char[]){"something happened"}};
    struct ph_pool left = {.name = "left", .epoch = n};
    struct ph_pool right = {.name = "right", .epoch = n};
    if (ph_batch_save(batch, &ph_record_pool, &left) != 0 ||
        ph_batch_save(batch, &ph_record_event, &event) != 0 ||
        ph_batch_save(batch, &ph_record_pool, &right) != 0)
        _exit(4);
    return batch;
}

_Noreturn static void write_for_ever(const char *path, int fd, int64_t first)
{
    struct writer writer = {.acknowledge_fd = fd, .first = first};
    struct ph_error error;
    int64_t term;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sem_init(&writer.room, 0, IN_FLIGHT);
    if (ph_store_open(path, PH_SCHEMA_MANAGER, acknowledge, &writer, &writer.store, &error) != 0 ||
        ph_store_activate(writer.store, "crash", &term, &error) != 0)
        _exit(2);
    for (int64_t n = first;; n++) {
        while (sem_wait(&writer.room) != 0)
            ;
        struct ph_batch *batch = batch_of(n);
        ph_store_commit(writer.store, &batch);
        if (n % 500 == 0) {
            struct ph_retention retention = {ph_clock_wall_ms(), 0, 0, HISTORY_KEPT};
            ph_store_trim(writer.store, &retention);
        }
    }
}

/* Reads acknowledgements until `until_ms` (0: until the writer is gone). The last one, or -1. */
static int64_t read_acknowledged(int fd, uint64_t until_ms, int64_t last)
{
    for (;;) {
        uint64_t now = ph_clock_boot_ms();
        struct pollfd item = {.fd = fd, .events = POLLIN};
        int64_t ids[64];
        if (until_ms != 0 && now >= until_ms)
            return last;
        if (poll(&item, 1, until_ms == 0 ? 30000 : (int)(until_ms - now)) == 0)
            continue;
        ssize_t bytes = read(fd, ids, sizeof ids);
        if (bytes <= 0)
            return last;
        last = ids[bytes / (ssize_t)sizeof ids[0] - 1];
    }
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static int64_t check(struct bed *bed, int64_t acknowledged)
{
    bed_open(bed, PH_SCHEMA_MANAGER);
    sqlite3 *db = bed->store->writer.db;
    int64_t last = number_of(db, "SELECT ifnull(max(id), 0) FROM events");
    if (last < acknowledged)
        fail_msg(
            "batch %" PRId64 " was acknowledged, the last stored is %" PRId64, acknowledged, last);
    assert_int_equal(number_of(db, "SELECT count(*) FROM events"), last);
    assert_int_equal(
        number_of(db, "SELECT ifnull(max(epoch), 0) FROM pools WHERE name = 'left'"), last);
    assert_int_equal(
        number_of(db, "SELECT ifnull(max(epoch), 0) FROM pools WHERE name = 'right'"), last);
    ph_store_destroy(&bed->store);
    return last;
}

static int64_t one_round(struct bed *bed, int64_t last, uint64_t *seed)
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        write_for_ever(bed->path, fds[1], last + 1);
    }
    assert_true(child > 0);
    close(fds[1]);
    /* Every third writer may die while it starts; the others have begun to acknowledge. */
    struct pollfd begun = {.fd = fds[0], .events = POLLIN};
    if (draw(seed) % 3 != 0)
        assert_int_equal(poll(&begun, 1, 30000), 1);
    uint64_t until_ms = ph_clock_boot_ms() + 1 + draw(seed) % 60;
    int64_t acknowledged = read_acknowledged(fds[0], until_ms, last);
    assert_int_equal(kill(child, SIGKILL), 0);
    acknowledged = read_acknowledged(fds[0], 0, acknowledged);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* it did not end by itself */
    close(fds[0]);
    return check(bed, acknowledged);
}

static void nothing_acknowledged_is_lost(void **state)
{
    struct bed bed;
    uint64_t seed = 1;
    int64_t last = 0;
    (void)state;
    bed_directory(&bed);
    for (int round = 0; round < ROUNDS; round++)
        last = one_round(&bed, last, &seed);
    assert_true(last > ROUNDS);
    bed_open(&bed, PH_SCHEMA_MANAGER);
    assert_int_equal(
        number_of(bed.store->writer.db,
            "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
        0);
    print_message("%d writers killed, %" PRId64 " batches kept\n", ROUNDS, last);
    bed_fini(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
