#include "inventory.h"

#include "base/clock.h"
#include "db/query_parts.h"
#include "proto/catalogue.h"

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
        "nodes", "pools", "vms", "replicas", "jobs", "events", "identities", "fence_devices"};
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
