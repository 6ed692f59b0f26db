#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void key_of(const struct ph_record *record, const void *row, char *key, size_t size)
{
    size_t used = 0;
    key[0] = '\0';
    for (size_t i = 0; i < record->field_count && used + 1 < size; i++) {
        const struct ph_field *field = &record->fields[i];
        const char *member = (const char *)row + field->offset;
        if ((field->flags & PH_KEY) != PH_KEY) {
            continue;
        }
        int64_t number = 0;
        if (field->kind == PH_FIELD_INT) {
            memcpy(&number, member, sizeof(number));
            used += ph_text_format(key + used, size - used, "%020lld/", (long long)number);
        } else {
            used += ph_text_format(key + used, size - used, "%s/", member);
        }
    }
}

void sim_table_save(struct sim_table *table, const void *row)
{
    char key[256];
    key_of(table->record, row, key, sizeof(key));
    struct sim_row *found = ph_map_get(&table->rows, key);
    if (found != NULL) {
        if (ph_record_copy(table->record, found->value, row) != 0) {
            abort();
        }
        return;
    }
    found = calloc(1, sizeof(*found));
    if (found == NULL || (found->key = ph_text_new("%s", key)) == NULL ||
        (found->value = ph_record_new_copy(table->record, row)) == NULL ||
        ph_map_put(&table->rows, found->key, found) != 0) {
        abort();
    }
}

static void destroy(struct sim_table *table, struct sim_row *row)
{
    ph_record_destroy(table->record, &row->value);
    free(row->key);
    free(row);
}

void sim_table_remove(struct sim_table *table, const void *row)
{
    char key[256];
    key_of(table->record, row, key, sizeof(key));
    struct sim_row *found = ph_map_remove(&table->rows, key);
    if (found != NULL) {
        destroy(table, found);
    }
}

const void *sim_table_get(const struct sim_table *table, const char *name)
{
    char key[256];
    (void)ph_text_format(key, sizeof(key), "%s/", name);
    const struct sim_row *found = ph_map_get(&table->rows, key);
    return found == NULL ? NULL : found->value;
}

const void *sim_table_job(const struct sim_table *table, int64_t id)
{
    char key[32];
    (void)ph_text_format(key, sizeof(key), "%020lld/", (long long)id);
    const struct sim_row *found = ph_map_get(&table->rows, key);
    return found == NULL ? NULL : found->value;
}

void sim_table_fini(struct sim_table *table)
{
    for (size_t i = 0; i < table->rows.count; i++) {
        destroy(table, table->rows.items[i].value);
    }
    ph_map_fini(&table->rows);
}

void sim_table_copy(struct sim_table *to, const struct sim_table *from)
{
    sim_table_fini(to);
    to->record = from->record;
    for (size_t i = 0; i < from->rows.count; i++) {
        sim_table_save(to, ((const struct sim_row *)from->rows.items[i].value)->value);
    }
}
