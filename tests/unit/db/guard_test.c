#include "inventory.h"

#include "db/query_parts.h"

static void forbidden_sql_is_refused(void **state)
{
    static const struct {
        const char *sql, *part;
    } cases[] = {
        {"", "empty"},
        {"   -- nothing", "empty"},
        {"SELEC 1", "syntax error"},
        {"SELECT 1; SELECT 2", "one statement"},
        {"SELECT 1; DROP TABLE pools", "one statement"},
        {"SELECT 1; garbage", "one statement"},
        {"SELECT ?", "variable"},
        {"SELECT ?1", "variable"},
        {"SELECT :a", "variable"},
        {"INSERT INTO pools (name) VALUES ('x')", ""},
        {"INSERT INTO main.pools (name) VALUES ('x')", "cannot be changed"},
        {"UPDATE main.pools SET epoch = 9", "cannot be changed"},
        {"DELETE FROM main.pools", "cannot be changed"},
        {"REPLACE INTO main.meta VALUES ('term', '9')", "cannot be changed"},
        {"WITH x AS (SELECT 1) DELETE FROM main.pools", "cannot be changed"},
        {"DELETE FROM main.pools RETURNING name", "cannot be changed"},
        {"CREATE TABLE x (a)", "only reads"},
        {"CREATE TEMP TABLE x (a)", "only reads"},
        {"CREATE TEMP VIEW x AS SELECT * FROM main.meta", "only reads"},
        {"CREATE TABLE temp.x AS SELECT * FROM main.meta", "only reads"},
        {"CREATE TEMP TRIGGER t AFTER INSERT ON main.pools BEGIN SELECT 1; END", "only reads"},
        {"CREATE VIRTUAL TABLE temp.x USING fts5(a)", "only reads"},
        {"CREATE INDEX main.x ON pools (name)", "only reads"},
        {"DROP TABLE main.pools", "only reads"},
        {"DROP VIEW temp.pools", "only reads"},
        {"ALTER TABLE main.pools RENAME TO x", "only reads"},
        {"PRAGMA query_only = OFF", "PRAGMA query_only"},
        {"PRAGMA table_info(identities)", "PRAGMA table_info"},
        {"PRAGMA user_version", "PRAGMA user_version"},
        {"ATTACH '/tmp/x' AS x", ""},
        {"ATTACH ':memory:' AS x", ""},
        {"DETACH main", "DETACH"},
        {"VACUUM", ""},
        {"VACUUM INTO '/tmp/never.db'", ""},
        {"BEGIN", "only reads"},
        {"COMMIT", "only reads"},
        {"SAVEPOINT x", "only reads"},
        {"ANALYZE", "only reads"},
        {"REINDEX", "only reads"},
        {"EXPLAIN SELECT 1", "EXPLAIN"},
        {"EXPLAIN QUERY PLAN SELECT * FROM nodes", "EXPLAIN"},
        {"SELECT load_extension('x')", "load_extension"},
        {"SELECT readfile('/etc/passwd')", "readfile"},
        {"SELECT writefile('/tmp/x', 'y')", "writefile"},
        {"SELECT fts3_tokenizer('simple')", "fts3_tokenizer"},
        {"SELECT randomblob(10)", "randomblob"},
        {"SELECT zeroblob(1000000000)", "zeroblob"},
        {"SELECT sqlite_compileoption_get(1)", "not allowed"},
        {"SELECT last_insert_rowid()", "not allowed"},
        {"SELECT json_patch('{}', '{}')", "json_patch"},
        {"SELECT nosuch(1)", "no such function"},
        {"SELECT * FROM nosuch", "the views are nodes"},
        {"SELECT nosuch FROM nodes", "no such column"},
        {"SELECT \"literal\"", "no such column"},
        {"SELECT count(*) FROM main.meta", "not one of the views"},
        {"SELECT rowid FROM main.meta", ""},
        {"SELECT count(*) FROM meta", "not one of the views"},
        {"SELECT 1 FROM META", "not one of the views"},
        {"SELECT EXISTS (SELECT 1 FROM meta)", "not one of the views"},
        {"SELECT count(*) FROM \"Sqlite_Schema\"", "not one of the views"},
        {"SELECT count(*) FROM dbstat", ""},
        {"SELECT count(*) FROM pragma_database_list", ""},
        {"SELECT 1 FROM main.history_clock", "not one of the views"},
        {"SELECT * FROM sqlite_schema", "not one of the views"},
        {"SELECT * FROM sqlite_master", "not one of the views"},
        {"SELECT * FROM temp.sqlite_master", "not one of the views"},
        {"SELECT * FROM sqlite_temp_schema", "not one of the views"},
        {"SELECT * FROM sqlite_stat1", ""},
        {"SELECT * FROM dbstat", ""},
        {"SELECT * FROM sqlite_dbpage", ""},
        {"SELECT * FROM pragma_table_info('identities')", ""},
        {"SELECT * FROM pragma_database_list", ""},
        {"SELECT * FROM pragma_function_list", ""},
        {"SELECT * FROM fsdir('/')", ""},
        {"SELECT * FROM main.pools", "not a table"},
        {"SELECT name FROM main.nodes_history", "not a table"},
        {"SELECT '\xff'", "UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_refused(reader, cases[i].sql, 0, -EINVAL, cases[i].part);
        expect_refused(reader, cases[i].sql, 5, -EINVAL, cases[i].part);
    }
    expect_json(reader, "SELECT count(*) AS n FROM pools", "[{\"n\":2}]");
}

/* Every way found so far to reach a column that no view shows. Whatever the answer, no key is in it. */
static void no_trick_shows_a_secret(void **state)
{
    static const char *const tricks[] = {
        "SELECT public_key FROM nodes",
        "SELECT public_key FROM identities",
        "SELECT token_hash FROM identities",
        "SELECT * FROM main.identities",
        "SELECT * FROM main.nodes",
        "SELECT public_key FROM main.nodes_history",
        "SELECT * FROM (SELECT * FROM main.identities)",
        "SELECT x.public_key FROM (SELECT public_key FROM main.identities) AS identities, "
        "identities AS x",
        "WITH identities AS (SELECT public_key FROM main.identities) SELECT * FROM identities",
        "WITH identities AS (SELECT token_hash FROM main.identities) SELECT * FROM identities",
        "WITH identities AS (SELECT * FROM main.identities) SELECT * FROM identities",
        "WITH nodes AS (SELECT * FROM main.nodes) SELECT * FROM nodes",
        "WITH nodes_history AS (SELECT * FROM main.nodes_history) SELECT * FROM nodes_history",
        "WITH meta AS (SELECT * FROM main.meta) SELECT * FROM meta",
        "WITH pools AS (SELECT value FROM main.meta) SELECT * FROM pools",
        "SELECT value FROM meta",
        "SELECT (SELECT public_key FROM main.identities LIMIT 1)",
        "SELECT (SELECT value FROM main.meta LIMIT 1)",
        "SELECT name FROM identities WHERE (SELECT public_key FROM main.identities i WHERE i.name "
        "= "
        "identities.name) LIKE 'P%'",
        "SELECT value FROM json_each((SELECT json_group_array(token_hash) FROM main.identities))",
        "SELECT json_group_array(public_key) FROM main.identities",
        "SELECT n.public_key FROM main.nodes AS n",
        "SELECT name FROM pools ORDER BY (SELECT token_hash FROM main.identities)",
        "SELECT name FROM pools GROUP BY (SELECT max(token_hash) FROM main.identities)",
        "SELECT max(public_key) OVER () FROM main.identities",
        "SELECT name FROM main.identities NATURAL JOIN main.nodes",
        "SELECT * FROM main.nodes NATURAL JOIN nodes",
        "SELECT 1 FROM nodes JOIN main.nodes m USING (public_key)",
        "SELECT sql FROM sqlite_master",
        "SELECT sql FROM sqlite_temp_master",
        "SELECT name FROM sqlite_temp_schema",
        "SELECT * FROM pragma_table_info('identities')",
        "SELECT k.* FROM identities, keys_ AS k",
        "SELECT public_key IS NULL FROM main.identities WHERE 0",
        "SELECT EXISTS (SELECT 1 FROM main.identities WHERE token_hash >= 'A')",
        "SELECT name FROM identities WHERE token_hash > ''",
        "SELECT valid_from FROM main.nodes",
        "WITH RECURSIVE nodes(a) AS (SELECT public_key FROM main.nodes UNION SELECT a FROM nodes) "
        "SELECT * FROM nodes",
        "SELECT 1 UNION ALL SELECT public_key FROM main.identities",
        "VALUES ((SELECT public_key FROM main.nodes))",
    };
    (void)state;
    for (size_t i = 0; i < sizeof tricks / sizeof tricks[0]; i++) {
        struct answer answer;
        ask_sql(reader, tricks[i], &answer);
        const char *said = answer.json == NULL ? answer.error.message : answer.json;
        if (answer.rv == 0 && strstr(tricks[i], "valid_from") == NULL)
            fail_msg("%s\n-> %s", tricks[i], said);
        if (strstr(said, NODE_KEY) != NULL || strstr(said, PERSON_KEY) != NULL ||
            strstr(said, TOKEN_HASH) != NULL || strstr(said, META_SECRET) != NULL)
            fail_msg("%s\n-> %s", tricks[i], said);
        free(answer.json);
    }
}

/* Not one view has a column with a key or a secret, in this catalogue or a later one. */
static void no_view_has_a_secret_column(void **state)
{
    const struct ph_tables *tables = ph_tables_of(PH_SCHEMA_MANAGER);
    (void)state;
    for (size_t i = 0; i < tables->count; i++) {
        char sql[128];
        struct answer answer;
        snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", tables->items[i].name);
        ask_sql(reader, sql, &answer);
        assert_true((answer.rv == 0) == (tables->items[i].record != &ph_record_meta));
        assert_null(strstr(answer.columns, "key"));
        assert_null(strstr(answer.columns, "token_hash"));
        assert_null(strstr(answer.columns, "secret"));
        free(answer.json);
        for (size_t f = 0; f < tables->items[i].record->field_count; f++)
            if ((tables->items[i].record->fields[f].flags & PH_SECRET) != 0)
                assert_false(ph_view_shows(tables->items[i].record->fields[f].name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forbidden_sql_is_refused),
        cmocka_unit_test(no_trick_shows_a_secret),
        cmocka_unit_test(no_view_has_a_secret_column),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
