#include "db/writer.h"

#include "db/connect.h"

/* The newest job and event stay whatever their age: their ids tell a manager that starts where to go
 * on counting. Of history, the end of the newest row deleted is noted: a question about any moment
 * before it can no longer be answered. */
static const struct step {
    enum { STEP_HISTORY, STEP_EVENTS, STEP_JOBS } kind;
    const char *sql; /* ?1: before, ?2: rows */
} steps[] = {
#define HISTORY(table)                                                                             \
    {STEP_HISTORY,                                                                                 \
        "UPDATE history_clock SET kept_since = max(kept_since, coalesce((SELECT max(valid_to) "    \
        "FROM (SELECT valid_to FROM " table " WHERE valid_to < ?1 ORDER BY valid_to LIMIT ?2)), "  \
        "0))"},                                                                                    \
    {                                                                                              \
        STEP_HISTORY, "DELETE FROM " table " WHERE change IN (SELECT change FROM " table           \
                      " WHERE valid_to < ?1 ORDER BY valid_to LIMIT ?2)"                           \
    }
    HISTORY("nodes_history"),
    HISTORY("pools_history"),
    HISTORY("vms_history"),
#undef HISTORY
    {STEP_EVENTS, "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ?1 "
                  "AND id < (SELECT max(id) FROM events) ORDER BY at LIMIT ?2)"},
    {STEP_JOBS,
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended_at > 0 AND ended_at < ?1 "
        "AND id < (SELECT max(id) FROM jobs) ORDER BY ended_at LIMIT ?2)"},
};

static int run_step(
    struct ph_writer *writer, const struct step *step, const struct ph_retention *retention)
{
    sqlite3_stmt *statement = NULL;
    int64_t before = step->kind == STEP_HISTORY  ? retention->history_before
                     : step->kind == STEP_EVENTS ? retention->events_before
                                                 : retention->jobs_before;
    int code = sqlite3_prepare_v2(writer->db, step->sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, before);
        sqlite3_bind_int64(statement, 2, retention->rows_max);
        code = ph_writer_run(statement);
    }
    sqlite3_finalize(statement);
    return code;
}

int ph_writer_trim(struct ph_writer *writer, const struct ph_retention *retention)
{
    bool active = true;
    if (writer->schema != PH_SCHEMA_MANAGER || retention->rows_max <= 0)
        return 0;
    int code = ph_writer_run(writer->begin);
    if (code == SQLITE_OK)
        code = ph_writer_is_active(writer, &active);
    for (size_t i = 0; code == SQLITE_OK && active && i < sizeof steps / sizeof steps[0]; i++)
        code = run_step(writer, &steps[i], retention);
    if (code == SQLITE_OK && active)
        code = ph_writer_run(writer->commit);
    if (code == SQLITE_OK && active)
        return 0;
    int rv = code == SQLITE_OK ? 0 : ph_sqlite_errno(writer->db, code);
    ph_writer_roll_back(writer);
    return rv;
}
