#include "db/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/migrations.h"

#define BUSY_MS 5000

enum { MANAGER_ID = 1346915633, AGENT_ID = 1346912561 }; /* "PHM1", "PHA1" in the file's header */

int ph_sqlite_errno(sqlite3 *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return -EUCLEAN;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        switch (db == NULL ? 0 : sqlite3_system_errno(db)) {
        case EACCES:
        case EPERM:
            return -EACCES;
        case EROFS:
            return -EROFS;
        case ENOSPC:
        case EDQUOT:
            return -ENOSPC;
        case ENOENT:
        case ENOTDIR:
            return -ENOENT;
        default:
            return -EIO;
        }
    default:
        return -EIO;
    }
}

int ph_sqlite_failed(
    sqlite3 *db, int code, const char *what, const char *path, struct ph_error *error)
{
    int rv = ph_sqlite_errno(db, code);
    const char *text = db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db);
    const char *advice = "";
    if (rv == -EUCLEAN)
        advice = "; it is not a Poolherd database, or it is damaged: restore it from a backup";
    else if (rv == -ENOSPC)
        advice = "; free some space on its file system";
    else if (rv == -EROFS)
        advice = "; the file or its directory cannot be written";
    else if (rv == -EACCES)
        advice = "; check the owner and mode of the file and of its directory";
    ph_error_set(error, PH_FAILED, NULL, "%s %s: %s%s", what, path, text, advice);
    return rv;
}

/* The first integer of a one-row statement. */
static int ask(sqlite3 *db, const char *sql, int64_t *value_out)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            *value_out = sqlite3_column_int64(statement, 0);
            code = SQLITE_OK;
        } else if (code == SQLITE_DONE) {
            code = SQLITE_ERROR;
        }
    }
    sqlite3_finalize(statement);
    return code;
}

static int execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Makes the file with a mode that keeps keys and token hashes from other users; SQLite gives its -wal and
 * -shm files the same mode. */
static int make_file(const char *path, struct ph_error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        int rv = -errno;
        ph_error_set(error, PH_FAILED, NULL, "opening %s: %s", path, strerror(-rv));
        return rv;
    }
    struct stat status;
    int rv = fstat(fd, &status) != 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EUCLEAN;
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "opening %s: not a regular file", path);
    close(fd);
    return rv;
}

static void schema_of(
    enum ph_store_schema schema, const struct ph_migration **migrations_out, int *count_out)
{
    bool manager = schema == PH_SCHEMA_MANAGER;
    *migrations_out = manager ? ph_migrations_manager : ph_migrations_agent;
    *count_out = manager ? ph_migrations_manager_count : ph_migrations_agent_count;
}

/* Whether the file is ours to open: nothing is written before this has said yes. */
static int inspect(sqlite3 *db, const char *path, enum ph_store_schema schema, int64_t *version_out,
    struct ph_error *error)
{
    const struct ph_migration *migrations;
    int64_t id = 0, tables = 0, version = 0;
    int count;
    schema_of(schema, &migrations, &count);
    int code = ask(db, "PRAGMA application_id", &id);
    if (code == SQLITE_OK)
        code = ask(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK)
        code = ask(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code != SQLITE_OK)
        return ph_sqlite_failed(db, code, "reading", path, error);
    if (id != (schema == PH_SCHEMA_MANAGER ? MANAGER_ID : AGENT_ID) &&
        (id != 0 || tables != 0 || version != 0)) {
        ph_error_set(error, PH_FAILED, NULL, "%s is a database of %s", path,
            id == MANAGER_ID ? "a manager, not of an agent"
            : id == AGENT_ID ? "an agent, not of a manager"
                             : "another program");
        return -EUCLEAN;
    }
    if (version > count) {
        ph_error_set(error, PH_FAILED, NULL,
            "%s has schema %lld, made by a newer Poolherd; this one knows schemas up to %d: "
            "upgrade it, or restore a backup made before the upgrade",
            path, (long long)version, count);
        return -ENOTSUP;
    }
    *version_out = version;
    return 0;
}

static int migrate_step(sqlite3 *db, const struct ph_migration *migration, int number)
{
    char pragma[64];
    int64_t version = 0;
    sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA user_version = %d", number);
    int code = execute(db, "BEGIN IMMEDIATE");
    if (code != SQLITE_OK)
        return code;
    /* Another process may have done it between our look and our lock. */
    code = ask(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK && version == number - 1) {
        code = execute(db, migration->sql);
        if (code == SQLITE_OK)
            code = execute(db, pragma);
    }
    if (code == SQLITE_OK)
        code = execute(db, "COMMIT");
    if (code != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static int migrate(
    sqlite3 *db, const char *path, enum ph_store_schema schema, int version, struct ph_error *error)
{
    const struct ph_migration *migrations;
    int count;
    schema_of(schema, &migrations, &count);
    for (int number = version + 1; number <= count; number++) {
        int code = migrate_step(db, &migrations[number - 1], number);
        if (code != SQLITE_OK) {
            char what[128];
            sqlite3_snprintf(sizeof what, what, "migration %s of", migrations[number - 1].name);
            return ph_sqlite_failed(db, code, what, path, error);
        }
    }
    return 0;
}

/* SQLite counts its memory under one lock for all threads unless told not to before its first use. */
static void count_no_memory(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int open_file(const char *path, int mode, sqlite3 **db_out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, count_no_memory);
    return sqlite3_open_v2(path, db_out, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
}

/* What must be set before anything is read; changes nothing in the file. */
static void configure(sqlite3 *db)
{
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
}

static int configure_writer(sqlite3 *db)
{
    int64_t wal = 0;
    int code = execute(db, "PRAGMA journal_mode = WAL");
    if (code == SQLITE_OK)
        code = ask(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &wal);
    if (code == SQLITE_OK && wal != 1)
        code = SQLITE_READONLY;
    /* Checkpoints are made off the commit path (checkpoint.c). */
    if (code == SQLITE_OK)
        code = execute(db, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                           "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 16777216;"
                           "PRAGMA cache_size = -32768");
    return code;
}

int ph_connect_writer(
    const char *path, enum ph_store_schema schema, sqlite3 **db_out, struct ph_error *error)
{
    sqlite3 *db = NULL;
    int64_t version = 0;
    int rv = make_file(path, error);
    if (rv != 0)
        return rv;
    int code = open_file(path, SQLITE_OPEN_READWRITE, &db);
    if (code != SQLITE_OK) {
        rv = ph_sqlite_failed(db, code, "opening", path, error);
        goto cleanup;
    }
    configure(db);
    rv = inspect(db, path, schema, &version, error);
    if (rv != 0)
        goto cleanup;
    code = configure_writer(db);
    rv = code == SQLITE_OK ? migrate(db, path, schema, (int)version, error)
                           : ph_sqlite_failed(db, code, "opening", path, error);
cleanup:
    if (rv != 0)
        sqlite3_close(db);
    else
        *db_out = db;
    return rv;
}

int ph_connect_reader(const char *path, sqlite3 **db_out, struct ph_error *error)
{
    sqlite3 *db = NULL;
    int code = open_file(path, SQLITE_OPEN_READONLY, &db);
    if (code == SQLITE_OK) {
        configure(db);
        code = execute(db, "PRAGMA query_only = ON; PRAGMA cache_size = -8192");
    }
    if (code != SQLITE_OK) {
        int rv = ph_sqlite_failed(db, code, "opening", path, error);
        sqlite3_close(db);
        return rv;
    }
    *db_out = db;
    return 0;
}
