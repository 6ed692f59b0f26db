/*
 * The numbered migrations of db/migrations, embedded by db/migrations.cmake. Pure data: entry i
 * takes a database from user_version i to i + 1.
 */
#ifndef PH_DB_MIGRATIONS_H
#define PH_DB_MIGRATIONS_H

struct ph_migration {
    const char *name; /* "0001_inventory" */
    const char *sql;
};

extern const struct ph_migration ph_migrations_manager[];
extern const int ph_migrations_manager_count;
extern const struct ph_migration ph_migrations_agent[];
extern const int ph_migrations_agent_count;

#endif
