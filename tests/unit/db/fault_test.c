/*
 * Every I/O operation of a commit, failed in turn: what the store says of the batch must be true after a new
 * start. A shim around SQLite's file layer counts the operations on the database and its log.
 */
#include "support.h"

enum fault_kind { FAULT_NONE, FAULT_FULL, FAULT_ERROR };

static struct {
    enum fault_kind kind;
    bool lasting; /* fails from then on, not once */
    bool syncs_only;
    int64_t countdown; /* operations until the fault */
    int64_t seen;
} fault;

struct shim_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs shim_vfs;
static sqlite3_io_methods shim_methods;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct shim_file *)(void *)file)->real;
}

static int meet_fault(bool sync)
{
    if (fault.kind == FAULT_NONE || (fault.syncs_only && !sync))
        return SQLITE_OK;
    fault.seen++;
    if (fault.countdown > 0 && --fault.countdown > 0)
        return SQLITE_OK;
    if (fault.countdown < 0)
        return SQLITE_OK;
    if (!fault.lasting)
        fault.countdown = -1;
    if (fault.kind == FAULT_FULL && !sync)
        return SQLITE_FULL;
    return sync ? SQLITE_IOERR_FSYNC : SQLITE_IOERR_WRITE;
}

static int shim_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int shim_read(sqlite3_file *file, void *out, int bytes, sqlite3_int64 offset)
{
    return real_of(file)->pMethods->xRead(real_of(file), out, bytes, offset);
}

static int shim_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 offset)
{
    int code = meet_fault(false);
    /* A failed write may leave the first half behind. */
    if (code != SQLITE_OK && bytes > 1)
        real_of(file)->pMethods->xWrite(real_of(file), data, bytes / 2, offset);
    return code != SQLITE_OK ? code
                             : real_of(file)->pMethods->xWrite(real_of(file), data, bytes, offset);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    int code = meet_fault(true);
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int shim_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int shim_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int shim_control(sqlite3_file *file, int operation, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int shim_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int shim_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shim_map(sqlite3_file *file, int page, int bytes, int extend, void volatile **out)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, bytes, extend, out);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void shim_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static int shim_open(
    sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *flags_out)
{
    struct shim_file *shim = (struct shim_file *)(void *)file;
    (void)vfs;
    shim->real = (sqlite3_file *)(void *)(shim + 1);
    int code = real_vfs->xOpen(real_vfs, name, shim->real, flags, flags_out);
    shim->base.pMethods = code == SQLITE_OK ? &shim_methods : NULL;
    return code;
}

static int install(void **state)
{
    (void)state;
    real_vfs = sqlite3_vfs_find(NULL);
    shim_vfs = *real_vfs;
    shim_vfs.zName = "shim";
    shim_vfs.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
    shim_vfs.xOpen = shim_open;
    shim_methods = (sqlite3_io_methods){2, shim_close, shim_read, shim_write, shim_truncate,
        shim_sync, shim_size, shim_lock, shim_unlock, shim_reserved, shim_control, shim_sector,
        shim_characteristics, shim_map, shim_shm_lock, shim_barrier, shim_unmap, NULL, NULL};
    return sqlite3_vfs_register(&shim_vfs, 1);
}

static int remove_shim(void **state)
{
    (void)state;
    return sqlite3_vfs_unregister(&shim_vfs);
}

static struct ph_batch *batch_of(int64_t first, int count)
{
    struct ph_batch *batch = ph_batch_new();
    char text[500] = {0};
    memset(text, 'x', sizeof text - 1);
    for (int64_t id = first; id < first + count; id++) {
        struct ph_event event = {.id = id, .message = text};
        assert_int_equal(ph_batch_save(batch, &ph_record_event, &event), 0);
    }
    return batch;
}

static int count_row(void *context, const void *row)
{
    (void)row;
    ++*(int64_t *)context;
    return 0;
}

static int64_t stored(struct bed *bed)
{
    struct ph_error error;
    int64_t count = 0;
    assert_int_equal(ph_store_load(bed->store, &ph_record_event, count_row, &count, &error), 0);
    return count;
}

/* Commits 20 rows under the fault and looks at them after a new start. False: the fault was not met. */
static bool try_fault(enum fault_kind kind, bool lasting, bool syncs_only, int64_t countdown)
{
    struct bed bed;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    assert_int_equal(bed_commit(&bed, batch_of(1, 5)), PH_STORE_OK);
    fault.kind = kind;
    fault.lasting = lasting;
    fault.syncs_only = syncs_only;
    fault.countdown = countdown;
    fault.seen = 0;
    enum ph_store_result result = bed_commit(&bed, batch_of(100, 20));
    bool met = fault.seen >= countdown;
    fault.kind = FAULT_NONE;
    assert_true(result == PH_STORE_OK || met);
    enum ph_store_result next = bed_commit(&bed, batch_of(200, 1));
    ph_store_destroy(&bed.store);
    bed_open(&bed, PH_SCHEMA_MANAGER);
    int64_t rows = stored(&bed);
    switch (result) {
    case PH_STORE_OK:
        assert_int_equal(rows, 26);
        break;
    case PH_STORE_UNAVAILABLE:
        assert_int_equal(next, PH_STORE_OK); /* the disk is well again */
        assert_int_equal(rows, 6);
        break;
    case PH_STORE_UNKNOWN:
        assert_int_equal(next, PH_STORE_UNKNOWN); /* nothing more until the process starts anew */
        assert_true(rows == 5 || rows == 25);
        break;
    case PH_STORE_CONSTRAINT:
    case PH_STORE_NOT_ACTIVE:
    default:
        fail_msg("result %d", result);
    }
    assert_true(result != PH_STORE_OK || !met || syncs_only);
    bed_fini(&bed);
    return met;
}

static void what_is_said_is_true(void **state)
{
    int faults = 0;
    (void)state;
    for (int lasting = 0; lasting <= 1; lasting++) {
        for (int64_t n = 1; try_fault(FAULT_FULL, lasting == 1, false, n); n++)
            faults++;
        for (int64_t n = 1; try_fault(FAULT_ERROR, lasting == 1, false, n); n++)
            faults++;
        for (int64_t n = 1; try_fault(FAULT_ERROR, lasting == 1, true, n); n++)
            faults++;
    }
    assert_true(faults > 10);
    print_message("%d faults\n", faults);
}

/* The fsync of the log decides: after it has failed nobody can know. */
static void a_failed_fsync_is_unknown(void **state)
{
    struct bed bed;
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    fault.kind = FAULT_ERROR;
    fault.lasting = true;
    fault.syncs_only = true;
    fault.countdown = 1;
    assert_int_equal(bed_commit(&bed, batch_of(1, 1)), PH_STORE_UNKNOWN);
    fault.kind = FAULT_NONE;
    assert_int_equal(bed_commit(&bed, batch_of(2, 1)), PH_STORE_UNKNOWN);
    bed_fini(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_said_is_true, install, remove_shim),
        cmocka_unit_test_setup_teardown(a_failed_fsync_is_unknown, install, remove_shim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
