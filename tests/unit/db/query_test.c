#include "support.h"

#include "base/clock.h"
#include "db/query_parts.h"
#include "proto/catalogue.h"

static struct bed bed;
static struct ph_reader *reader;

#define NODE_KEY "NODEKEYnodekeyNODEKEYnodekeyNODEKEY00001"
#define PERSON_KEY "PERSONKEYpersonkeyPERSONKEYpersonkey0002"
#define TOKEN_HASH "TOKENHASHtokenhash"
#define META_SECRET "METASECRET"

static void save(const struct ph_record *record, const void *row)
{
    assert_int_equal(bed_save(&bed, record, row), PH_STORE_OK);
}

static int set_up(void **state)
{
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    char *labels[] = {(char[]){"rack=a"}, (char[]){"ssd=yes"}};
    struct ph_node node = {
        .name = "n1", .public_key = (char[]){NODE_KEY}, .labels = {.count = 2, .items = labels}};
    save(&ph_record_node, &node);
    node.state = PH_NODE_ONLINE; /* so that history has the key as well */
    save(&ph_record_node, &node);
    struct ph_pool pool = {.name = "web", .node = "n1", .epoch = 3, .state = PH_POOL_ACTIVE};
    save(&ph_record_pool, &pool);
    pool = (struct ph_pool){.name = "mail"};
    save(&ph_record_pool, &pool);
    for (int i = 0; i < 3; i++) {
        struct ph_vm vm = {.pool = "web", .position = i};
        snprintf(vm.name, sizeof vm.name, "vm%d", i);
        save(&ph_record_vm, &vm);
    }
    struct ph_replica replica = {.pool = "web", .node = "n2"};
    save(&ph_record_replica, &replica);
    struct ph_job job = {.id = 1, .pool = "web"};
    save(&ph_record_job, &job);
    struct ph_event event = {.id = 1, .pool = "web", .at = 1700000000123};
    save(&ph_record_event, &event);
    struct ph_identity identity = {
        .name = "alice", .public_key = (char[]){PERSON_KEY}, .token_hash = (char[]){TOKEN_HASH}};
    save(&ph_record_identity, &identity);
    identity = (struct ph_identity){.name = "bob", .token_hash = (char[]){TOKEN_HASH}};
    save(&ph_record_identity, &identity);
    struct ph_meta meta = {.key = "cluster_secret", .value = (char[]){META_SECRET}};
    save(&ph_record_meta, &meta);
    bed_reader(&bed, &reader);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ph_reader_destroy(&reader);
    bed_fini(&bed);
    return 0;
}

static void views_show_what_people_need(void **state)
{
    (void)state;
    expect_json(
        reader, "SELECT name, state FROM nodes", "[{\"name\":\"n1\",\"state\":\"online\"}]");
    expect_json(reader, "SELECT name, node FROM vms WHERE pool = 'web' AND name = 'vm1'",
        "[{\"name\":\"vm1\",\"node\":\"n1\"}]");
    expect_json(reader, "SELECT name, enrolled FROM identities ORDER BY name",
        "[{\"name\":\"alice\",\"enrolled\":1},{\"name\":\"bob\",\"enrolled\":0}]");
    expect_json(reader, "SELECT value FROM nodes, json_each(labels)",
        "[{\"value\":\"rack=a\"},{\"value\":\"ssd=yes\"}]");
    expect_json(reader, "SELECT iso(at) AS t, iso(0) AS never FROM events",
        "[{\"t\":\"2023-11-14T22:13:20.123Z\",\"never\":null}]");
    expect_json(reader, "SELECT now_ms() > 1700000000000 AS ok", "[{\"ok\":1}]");
    expect_json(reader, "SELECT * FROM replicas WHERE 0", "[]");
}

/* Each view, whole and in the ways people combine them. */
static void ordinary_sql_works(void **state)
{
    static const char *const queries[] = {
        "SELECT * FROM nodes",
        "SELECT * FROM pools",
        "SELECT * FROM vms",
        "SELECT * FROM replicas",
        "SELECT * FROM jobs",
        "SELECT * FROM events",
        "SELECT * FROM identities",
        "SELECT * FROM nodes_history",
        "SELECT * FROM pools_history",
        "SELECT * FROM vms_history",
        "SELECT count(*) FROM vms",
        "SELECT count(*), max(epoch) FROM pools GROUP BY node HAVING count(*) > 0 ORDER BY 1",
        "SELECT p.name, v.name FROM pools p JOIN vms v ON v.pool = p.name",
        "SELECT n.name, count(p.name) FROM nodes n LEFT JOIN pools p ON p.node = n.name GROUP BY 1",
        "SELECT n.name, (SELECT count(*) FROM vms WHERE node = n.name) AS vms FROM nodes AS n",
        "SELECT * FROM (SELECT name FROM pools) AS x WHERE name LIKE 'w%'",
        "SELECT name FROM pools UNION SELECT name FROM nodes ORDER BY name",
        "SELECT name FROM pools WHERE name IN (SELECT pool FROM vms)",
        "SELECT name FROM pools WHERE EXISTS (SELECT 1 FROM vms WHERE vms.pool = pools.name)",
        "WITH x AS (SELECT * FROM vms) SELECT a.name FROM x a, x b",
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 10) SELECT i "
        "FROM c",
        "SELECT name, row_number() OVER (PARTITION BY pool ORDER BY position) FROM vms",
        "SELECT name, sum(position) OVER (ORDER BY name ROWS 1 PRECEDING) FROM vms_history",
        "SELECT pool, group_concat(name, ' ') FROM vms GROUP BY pool",
        "SELECT json_group_array(json_object('n', name)) FROM pools",
        "SELECT labels ->> 0 FROM nodes",
        "SELECT datetime(at / 1000, 'unixepoch') FROM events",
        "SELECT DISTINCT state FROM pools ORDER BY state LIMIT 3 OFFSET 0",
        "VALUES (1, 2), (3, 4)",
        "SELECT v.name FROM nodes n LEFT JOIN vms v ON v.node = n.name",
        "SELECT name FROM temp.pools",
        "  /* first */ SELECT 1 ; -- last\n ; ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        for (int64_t as_of = 0; as_of <= 1; as_of++) {
            struct answer answer;
            bool kept = strstr(queries[i], "replicas") != NULL ||
                        strstr(queries[i], "jobs") != NULL ||
                        strstr(queries[i], "identities") != NULL;
            if (as_of == 1 && kept)
                continue;
            ask_as_of(reader, queries[i], as_of * (ph_clock_wall_ms() + 1000), &answer);
            if (answer.rv != 0)
                fail_msg("%s: %s", queries[i], answer.error.message);
            if (as_of == 0 && strstr(queries[i], "LIMIT") == NULL && answer.rows == 0)
                fail_msg("%s: no rows", queries[i]);
            free(answer.json);
        }
    }
}

static void values_become_json(void **state)
{
    (void)state;
    expect_json(reader, "SELECT NULL AS a, -9223372036854775807 - 1 AS b, 1.5 AS c, x'00ff' AS d",
        "[{\"a\":null,\"b\":-9223372036854775808,\"c\":1.5,\"d\":\"00ff\"}]");
    expect_json(reader, "SELECT 1e999 AS a, -1e999 AS b, 2.0 AS c, 0.1 AS d, 1e300 AS e",
        "[{\"a\":null,\"b\":null,\"c\":2.0,\"d\":0.1,\"e\":1e+300}]");
    expect_json(reader, "SELECT 'q\"\\/' || char(10) || char(1) || 'é' AS \"k\"\"ey\"",
        "[{\"k\\\"ey\":\"q\\\"\\\\/\\n\\u0001é\"}]");
    expect_json(reader, "SELECT CAST(x'61ff62c3' AS TEXT) AS a",
        "[{\"a\":\"a\xef\xbf\xbd"
        "b\xef\xbf\xbd\"}]");
    expect_json(reader, "SELECT 'a' || char(0) || 'b' AS a",
        "[{\"a\":\"a\xef\xbf\xbd"
        "b\"}]");
    struct answer answer;
    ask_sql(reader, "SELECT 1 AS x, 2 AS x, 3 AS x_2, 4 AS x", &answer);
    assert_string_equal(answer.columns, "x,x_2,x_2_2,x_3");
    free(answer.json);
}

static void bounded_functions_do_as_sqlite_does(void **state)
{
    (void)state;
    expect_json(reader,
        "SELECT instr('héllo', 'l') AS a, instr('x', '') AS b, instr('x', 'y') AS c, instr(NULL, "
        "'x') "
        "AS d, instr('é', 'é') AS e",
        "[{\"a\":3,\"b\":1,\"c\":0,\"d\":null,\"e\":1}]");
    expect_json(reader,
        "SELECT replace('aXbX', 'X', '--') AS a, replace('ab', '', 'z') AS b, replace('aa', 'aa', "
        "'') "
        "AS c, replace('aaa', 'aa', 'b') AS d, replace(NULL, 'a', 'b') AS e, replace(121, 1, 3) AS "
        "f",
        "[{\"a\":\"a--b--\",\"b\":\"ab\",\"c\":\"\",\"d\":\"ba\",\"e\":null,\"f\":\"323\"}]");
    expect_json(reader,
        "SELECT trim('  a ') AS a, ltrim('  a ') AS b, rtrim(' a  ') AS c, trim('éaéx', 'xé') AS "
        "d, "
        "trim('aa', 'a') AS e, trim(NULL) AS f, trim('a', '') AS g",
        "[{\"a\":\"a\",\"b\":\"a \",\"c\":\" a\",\"d\":\"a\",\"e\":\"\",\"f\":null,\"g\":\"a\"}]");
    expect_refused(reader,
        "SELECT instr(printf('%.*c', 1000000, 'a'), printf('%.*c', 500000, 'a') || 'b')", 0,
        -EINVAL, "too long");
    expect_refused(reader,
        "SELECT trim(printf('%.*c', 1000000, 'a'), printf('%.*c', 500000, 'b') || 'a')", 0, -EINVAL,
        "too long");
    expect_refused(reader,
        "SELECT replace(printf('%.*c', 2000, 'a'), 'a', printf('%.*c', 2000, 'b'))", 0, -EINVAL,
        "too big");
}

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

static void limits_hold(void **state)
{
    struct answer answer;
    struct ph_query query = {.rows_max = 5, .timeout_ms = 100};
    (void)state;
    query.sql = (char[]){"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 5) "
                         "SELECT i FROM c"};
    ask_query(reader, &query, &answer);
    assert_int_equal(answer.rv, 0);
    assert_int_equal(answer.rows, 5);
    free(answer.json);
    query.sql = (char[]){"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 6) "
                         "SELECT i FROM c"};
    ask_query(reader, &query, &answer);
    assert_int_equal(answer.rv, -E2BIG);
    assert_non_null(strstr(answer.error.message, "more than 5 rows"));
    free(answer.json);
    static const char *const endless[] = {
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c",
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c WHERE i < "
        "0",
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c ORDER BY "
        "-i",
    };
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        uint64_t start = ph_clock_boot_ms();
        struct ph_query long_query = {.timeout_ms = 100};
        assert_int_equal(ph_set_text(&long_query.sql, endless[i]), 0);
        ask_query(reader, &long_query, &answer);
        free(long_query.sql);
        assert_int_equal(answer.rv, -ETIMEDOUT);
        assert_non_null(strstr(answer.error.message, "100 ms"));
        assert_true(ph_clock_boot_ms() - start < 5000);
        free(answer.json);
    }
    expect_json(reader, "SELECT 1 AS still_there", "[{\"still_there\":1}]");
}

/* Text that would grow beyond measure before anything could stop it. */
static void names_are_not_multiplied(void **state)
{
    char sql[8192], *at = sql;
    (void)state;
    at += sprintf(at, "WITH c0 AS (SELECT 1 x)");
    for (int i = 1; i <= 30; i++)
        at += sprintf(at, ", \"C%d\" AS NOT MATERIALIZED (SELECT a.x FROM [c%d] a, 'c%d' b)", i,
            i - 1, i - 1);
    sprintf(at, " SELECT 1 FROM c30 LIMIT 1");
    expect_refused(reader, sql, 0, -EINVAL, "WITH names");
    at = sql;
    at += sprintf(at, "WITH c0 AS (SELECT 1 AS c1, 1 AS c2, 1 AS c3)"); /* names as columns */
    for (int i = 1; i <= 30; i++)
        at += sprintf(at,
            ",\xef\xbb\xbf"
            "c%d(c%d) AS (SELECT 1 FROM c%d a,\xef\xbb\xbf"
            "c%d)",
            i, i + 1, i - 1, i - 1);
    sprintf(at, " SELECT 1 FROM c30 LIMIT 1");
    expect_refused(reader, sql, 0, -EINVAL, "WITH names");
    assert_int_equal(ph_query_weight("SELECT 1", 100), 1);
    assert_int_equal(ph_query_weight("WITH a AS (SELECT 1) SELECT * FROM a, a", 100), 4);
    assert_int_equal(
        ph_query_weight("WITH a(x) AS (SELECT 1 UNION SELECT x FROM a) SELECT 1", 100), 3);
    assert_true(ph_query_weight("((((a AS (", 100) >= 1);
    assert_true(ph_query_weight("')\"` [ -- a\n/* ", 100) >= 1);
}

static void long_results_come_in_parts(void **state)
{
    struct answer answer;
    (void)state;
    ask_sql(reader,
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 50000) "
        "SELECT i, 'some text that takes room so that there are several parts' AS text FROM c",
        &answer);
    assert_int_equal(answer.rv, 0);
    assert_int_equal(answer.rows, 50000);
    assert_true(answer.parts >= 3);
    assert_true(answer.bytes / (size_t)answer.parts <= PH_QUERY_PART_BYTES + 200);
    free(answer.json);
    expect_refused(reader,
        "SELECT printf('%.*c', 2000000, 'a') AS a, printf('%.*c', 2000000, char(1)) AS b, "
        "printf('%.*c', 2000000, char(1)) AS c",
        0, -E2BIG, "a row of the query");
}

static int stop_at_once(void *context, const struct ph_texts *columns, const char *rows_json,
    size_t bytes, int64_t rows, bool more)
{
    (void)columns;
    (void)rows_json;
    (void)bytes;
    (void)rows;
    (void)more;
    ++*(int *)context;
    return 1;
}

static void the_asker_can_end_it(void **state)
{
    int calls = 0;
    struct ph_error error = {0};
    struct ph_query query = {
        .sql = (char[]){"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                        "FROM c LIMIT 900000) SELECT i, i FROM c"}};
    (void)state;
    assert_int_equal(ph_reader_query(reader, &query, stop_at_once, &calls, &error), -ECANCELED);
    assert_int_equal(calls, 1);
}

/* A repeated query comes from the cache and sees what was committed in between. */
static void repeated_queries_see_the_present(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        char sql[64], json[64];
        struct ph_event event = {.id = 100 + i};
        save(&ph_record_event, &event);
        snprintf(json, sizeof json, "[{\"n\":%d}]", i + 1);
        expect_json(reader, "SELECT count(*) AS n FROM events WHERE id >= 100", json);
        snprintf(sql, sizeof sql, "SELECT %d AS n", i + 1); /* fills the cache */
        expect_json(reader, sql, json);
    }
}

/* docs/inventory.md: each column of each view is in its section, and each question in it works. */
static void expect_section(const char *page, const char *view)
{
    char sql[64], heading[64], *rest = NULL;
    struct answer answer;
    snprintf(heading, sizeof heading, "\n## %s\n", view);
    snprintf(sql, sizeof sql, "SELECT * FROM %s", view);
    const char *section = strstr(page, heading);
    if (section == NULL)
        fail_msg("no section on %s", view);
    size_t bytes = strcspn(section + 5, "#") + 5;
    ask_sql(reader, sql, &answer);
    for (char *name = strtok_r(answer.columns, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        char cell[80];
        snprintf(cell, sizeof cell, "| `%s`", name);
        if (memmem(section, bytes, cell, strlen(cell)) == NULL)
            fail_msg("%s.%s is not documented", view, name);
    }
    free(answer.json);
}

static void the_page_tells_the_truth(void **state)
{
    static const char *const views[] = {
        "nodes", "pools", "vms", "replicas", "jobs", "events", "identities"};
    char *page = NULL;
    size_t bytes;
    int questions = 0;
    (void)state;
    assert_int_equal(ph_file_read(PH_SOURCE_DIR "/docs/inventory.md", 1 << 20, &page, &bytes), 0);
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        expect_section(page, views[i]);
    for (char *at = page; (at = strstr(at, "\n    SELECT")) != NULL; questions++) {
        struct answer answer;
        char *end = strstr(at + 1, "\n\n");
        assert_non_null(end);
        *end = '\0';
        ask_sql(reader, at, &answer);
        if (answer.rv != 0)
            fail_msg("%s\n-> %s", at, answer.error.message);
        free(answer.json);
        at = end + 1;
    }
    assert_true(questions >= 6);
    free(page);
}

static void long_sql_is_refused(void **state)
{
    size_t bytes = PH_SQL_BYTES_MAX + 10;
    char *sql = malloc(bytes + 1);
    (void)state;
    memset(sql, ' ', bytes);
    memcpy(sql, "SELECT 1", 8);
    sql[bytes] = '\0';
    expect_refused(reader, sql, 0, -EINVAL, "at most");
    free(sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_show_what_people_need),
        cmocka_unit_test(ordinary_sql_works),
        cmocka_unit_test(values_become_json),
        cmocka_unit_test(bounded_functions_do_as_sqlite_does),
        cmocka_unit_test(forbidden_sql_is_refused),
        cmocka_unit_test(no_trick_shows_a_secret),
        cmocka_unit_test(no_view_has_a_secret_column),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(names_are_not_multiplied),
        cmocka_unit_test(long_results_come_in_parts),
        cmocka_unit_test(the_asker_can_end_it),
        cmocka_unit_test(repeated_queries_see_the_present),
        cmocka_unit_test(long_sql_is_refused),
        cmocka_unit_test(the_page_tells_the_truth),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
