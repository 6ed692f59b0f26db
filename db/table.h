/*
 * Tables by the catalogue: which records a schema stores, and the SQL to save, remove and read one.
 * Pure: makes text only.
 */
#ifndef PH_DB_TABLE_H
#define PH_DB_TABLE_H

#include "db/store.h"

#define PH_TABLES_MAX 16

struct ph_table {
    const struct ph_record *record;
    const char *name; /* "pools" */
    bool history;     /* has a column valid_from and a table NAME_history */
};

struct ph_tables {
    size_t count;
    const struct ph_table *items;
};

const struct ph_tables *ph_tables_of(enum ph_store_schema schema);

/* Index of the table of `record`, or -1: this schema does not store it. */
int ph_table_find(const struct ph_tables *tables, const struct ph_record *record);

/* Statements as heap text (the caller frees it), NULL when memory is out. Parameters: save has one per
 * field in catalogue order, remove one per key field in that order. select ends before any WHERE. */
char *ph_table_save_sql(const struct ph_table *table);
char *ph_table_remove_sql(const struct ph_table *table);
char *ph_table_select_sql(const struct ph_table *table);
/* " ORDER BY" the primary key. */
char *ph_table_order_sql(const struct ph_table *table);

bool ph_field_is_key(const struct ph_field *field);

#endif
