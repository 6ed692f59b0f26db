#include "db/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const struct ph_table manager_tables[] = {
    {&ph_record_meta, "meta", false},
    {&ph_record_node, "nodes", true},
    {&ph_record_pool, "pools", true},
    {&ph_record_vm, "vms", true},
    {&ph_record_replica, "replicas", false},
    {&ph_record_job, "jobs", false},
    {&ph_record_event, "events", false},
    {&ph_record_identity, "identities", false},
    {&ph_record_fence_device, "fence_devices", false},
    {&ph_record_voter_set, "voter_sets", false},
};

static const struct ph_table agent_tables[] = {
    {&ph_record_meta, "meta", false},
    {&ph_record_assignment, "assignments", false},
    {&ph_record_witness, "witnesses", false},
    {&ph_record_operation, "operations", false},
};

static const struct ph_tables manager = {
    sizeof manager_tables / sizeof manager_tables[0], manager_tables};
static const struct ph_tables agent = {sizeof agent_tables / sizeof agent_tables[0], agent_tables};

const struct ph_tables *ph_tables_of(enum ph_store_schema schema)
{
    return schema == PH_SCHEMA_MANAGER ? &manager : &agent;
}

int ph_table_find(const struct ph_tables *tables, const struct ph_record *record)
{
    for (size_t i = 0; i < tables->count; i++)
        if (tables->items[i].record == record)
            return (int)i;
    return -1;
}

bool ph_field_is_key(const struct ph_field *field)
{
    return (field->flags & PH_KEY) == PH_KEY;
}

/* A text that grows; `failed` once memory was out, and then the rest is ignored. */
struct sql {
    char *text;
    size_t used, room;
    bool failed;
};

static void add(struct sql *sql, const char *text)
{
    size_t bytes = strlen(text);
    if (sql->failed)
        return;
    if (sql->used + bytes + 1 > sql->room) {
        size_t room = (sql->room + bytes + 1) * 2;
        char *bigger = realloc(sql->text, room);
        if (bigger == NULL) {
            sql->failed = true;
            return;
        }
        sql->text = bigger;
        sql->room = room;
    }
    memcpy(sql->text + sql->used, text, bytes + 1);
    sql->used += bytes;
}

static void add_all(struct sql *sql, const char *first, ...)
{
    va_list arguments;
    va_start(arguments, first);
    for (const char *text = first; text != NULL; text = va_arg(arguments, const char *))
        add(sql, text);
    va_end(arguments);
}

static char *sql_end(struct sql *sql)
{
    if (!sql->failed)
        return sql->text;
    free(sql->text);
    return NULL;
}

static void add_columns(struct sql *sql, const struct ph_record *record, bool keys_only)
{
    const char *separator = "";
    for (size_t i = 0; i < record->field_count; i++) {
        if (keys_only && !ph_field_is_key(&record->fields[i]))
            continue;
        add_all(sql, separator, "\"", record->fields[i].name, "\"", NULL);
        separator = ", ";
    }
}

char *ph_table_save_sql(const struct ph_table *table)
{
    const struct ph_record *record = table->record;
    struct sql sql = {0};
    add_all(&sql, "INSERT INTO \"", table->name, "\" (", NULL);
    add_columns(&sql, record, false);
    add(&sql, table->history ? ", valid_from) VALUES (" : ") VALUES (");
    for (size_t i = 0; i < record->field_count; i++)
        add(&sql, i == 0 ? "?" : ", ?");
    if (table->history)
        add(&sql, ", (SELECT at FROM history_clock)");
    /* Not REPLACE: that would delete first, and what belongs to a pool would go with it. */
    add(&sql, ") ON CONFLICT (");
    add_columns(&sql, record, true);
    add(&sql, ") DO UPDATE SET ");
    const char *separator = "";
    for (size_t i = 0; i < record->field_count; i++) {
        const char *name = record->fields[i].name;
        if (ph_field_is_key(&record->fields[i]))
            continue;
        add_all(&sql, separator, "\"", name, "\" = excluded.\"", name, "\"", NULL);
        separator = ", ";
    }
    return sql_end(&sql);
}

char *ph_table_remove_sql(const struct ph_table *table)
{
    struct sql sql = {0};
    add_all(&sql, "DELETE FROM \"", table->name, "\" WHERE ", NULL);
    const char *separator = "";
    for (size_t i = 0; i < table->record->field_count; i++) {
        const struct ph_field *field = &table->record->fields[i];
        if (!ph_field_is_key(field))
            continue;
        add_all(&sql, separator, "\"", field->name, "\" = ?", NULL);
        separator = " AND ";
    }
    ph_assert(separator[0] != '\0');
    return sql_end(&sql);
}

char *ph_table_select_sql(const struct ph_table *table)
{
    struct sql sql = {0};
    add(&sql, "SELECT ");
    add_columns(&sql, table->record, false);
    add_all(&sql, " FROM \"", table->name, "\"", NULL);
    return sql_end(&sql);
}

char *ph_table_order_sql(const struct ph_table *table)
{
    struct sql sql = {0};
    add(&sql, " ORDER BY ");
    add_columns(&sql, table->record, true);
    return sql_end(&sql);
}
