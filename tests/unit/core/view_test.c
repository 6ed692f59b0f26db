/* What people see: nodes, pools, jobs, status. */
#include "tests/unit/core/request_bed.h"

static void load_pool(struct bed *bed, const char *name, const char *node, int64_t copies)
{
    struct ph_pool row = {.state = node[0] != '\0' ? PH_POOL_ACTIVE : PH_POOL_UNASSIGNED,
        .epoch = 3,
        .created = true,
        .copies = copies,
        .cpu = 500,
        .memory_mib = 512,
        .disk_mib = 1000,
        .sync_interval_s = 2,
        .max_data_loss_s = 60,
        .revision = 1,
        .since = BED_WALL_MS - 60000};

    ph_text_format(row.name, sizeof row.name, "%s", name);
    ph_text_format(row.driver, sizeof row.driver, "directory");
    ph_text_format(row.node, sizeof row.node, "%s", node);
    bed_load(bed, &ph_record_pool, &row);
}

static void load_vm(
    struct bed *bed, const char *pool, const char *name, int64_t position, enum ph_vm_state state)
{
    struct ph_vm row = {.position = position, .state = state, .pid = 77};

    ph_text_format(row.pool, sizeof row.pool, "%s", pool);
    ph_text_format(row.name, sizeof row.name, "%s", name);
    ph_text_format(row.kind, sizeof row.kind, "process");
    assert_int_equal(ph_texts_add(&row.command, "true"), 0);
    bed_load(bed, &ph_record_vm, &row);
}

static void load_replica(
    struct bed *bed, const char *pool, const char *node, enum ph_replica_state state, int64_t as_of)
{
    struct ph_replica row = {
        .state = state, .epoch = as_of != 0 ? 3 : 0, .sequence = 9, .as_of = as_of, .bytes = 123};

    ph_text_format(row.pool, sizeof row.pool, "%s", pool);
    ph_text_format(row.node, sizeof row.node, "%s", node);
    bed_load(bed, &ph_record_replica, &row);
}

static struct bed *bed_running(void)
{
    struct bed *bed = bed_new();

    bed_node(bed, "n1");
    bed_node(bed, "n2");
    bed_node(bed, "n3");
    load_pool(bed, "db", "n2", 0);
    load_pool(bed, "web", "n1", 2);
    load_vm(bed, "web", "front", 0, PH_VM_RUNNING);
    load_vm(bed, "web", "back", 1, PH_VM_BACKOFF);
    load_replica(bed, "web", "n2", PH_REPLICA_COMPLETE, BED_WALL_MS - 5000);
    load_replica(bed, "web", "n3", PH_REPLICA_SEEDING, 0);
    bed_ready(bed);
    return bed;
}

static void nodes_with_live_values(void **state)
{
    (void)state;
    struct bed *bed = bed_running();
    const struct ph_nodes_shown *shown =
        bed_get(bed, PH_MSG_NODE_LIST, &(struct ph_nothing){0}, PH_MSG_NODES_SHOWN);

    assert_int_equal(shown->nodes.count, 3);
    const struct ph_node_view *n1 = &shown->nodes.items[0], *n2 = &shown->nodes.items[1];

    assert_string_equal(n1->name, "n1");
    assert_int_equal(n1->state, PH_NODE_ONLINE);
    assert_int_equal(n1->admin, PH_ADMIN_ACTIVE);
    assert_int_equal(n1->pools, 1);
    assert_int_equal(n1->copies, 0);
    assert_int_equal(n1->cpu, 4000);
    assert_int_equal(n1->cpu_used, 500);
    assert_int_equal(n1->memory_used_mib, 512);
    assert_int_equal(n1->last_seen_ms, -1); /* not since this manager started */
    assert_int_equal(n1->drivers.count, 2);
    assert_int_equal(n2->copies, 1);
    assert_int_equal(n2->disk_used_mib, 2000); /* its own pool, and the copy */
    assert_int_equal(bed->effects.count, 1);

    struct ph_named missing = {.name = "n9"}, named = {.name = "n2"};

    bed_refused(bed, PH_MSG_NODE_SHOW, &missing, "not_found", "name", "n9");
    shown = bed_get(bed, PH_MSG_NODE_SHOW, &named, PH_MSG_NODES_SHOWN);
    assert_int_equal(shown->nodes.count, 1);
    assert_string_equal(shown->nodes.items[0].name, "n2");
    bed_free(bed);
}

static void pools_with_copies_and_ages(void **state)
{
    (void)state;
    struct bed *bed = bed_running();

    bed->wall_ms += 1500;
    const struct ph_pools_shown *shown =
        bed_get(bed, PH_MSG_POOL_LIST, &(struct ph_nothing){0}, PH_MSG_POOLS_SHOWN);

    assert_int_equal(shown->pools.count, 2);
    const struct ph_pool_view *web = &shown->pools.items[1];

    assert_string_equal(web->name, "web");
    assert_string_equal(web->node, "n1");
    assert_int_equal(web->epoch, 3);
    assert_int_equal(web->copies_wanted, 2);
    assert_int_equal(web->copies.count, 2);
    assert_string_equal(web->copies.items[0].node, "n2");
    assert_int_equal(web->copies.items[0].state, PH_REPLICA_COMPLETE);
    assert_int_equal(web->copies.items[0].age_ms, 6500);
    assert_int_equal(web->copies.items[1].age_ms, -1);
    assert_true(web->copies.items[1].reason[0] != '\0');
    assert_int_equal(web->vms_declared, 2);
    assert_int_equal(web->vms_running, 1);
    assert_int_equal(web->vms.count, 0); /* pool.show only */
    bed_free(bed);
}

static void one_pool_whole(void **state)
{
    (void)state;
    struct bed *bed = bed_running();
    const struct ph_pool_view *web = bed_pool(bed, "web");

    assert_int_equal(web->vms.count, 2);
    assert_string_equal(web->vms.items[0].name, "front");
    assert_int_equal(web->vms.items[0].pid, 77);
    assert_true(web->vms.items[1].reason[0] != '\0'); /* in back-off: why */
    assert_string_equal(web->declared.name, "web");
    assert_int_equal(web->declared.vms.count, 2);
    assert_int_equal(web->declared.max_data_loss_s, 60);
    /* It is active, and what is wrong within is said all the same. */
    assert_non_null(strstr(web->reason, "back waits for its next start"));

    struct ph_named missing = {.name = "mail"};

    bed_refused(bed, PH_MSG_POOL_SHOW, &missing, "not_found", "name", "mail");
    bed_free(bed);
}

static void a_clock_set_back_makes_the_age_unknown(void **state)
{
    (void)state;
    struct bed *bed = bed_running();

    bed->wall_ms -= 60000;
    assert_int_equal(bed_pool(bed, "web")->copies.items[0].age_ms, -1);
    bed_free(bed);
}

static void nothing_unusual_without_a_reason(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_node row = {.state = PH_NODE_JOINING};

    ph_text_format(row.name, sizeof row.name, "n0");
    bed_load(bed, &ph_record_node, &row);
    row = (struct ph_node){.state = PH_NODE_LOST, .admin = PH_ADMIN_MAINTENANCE};
    ph_text_format(row.name, sizeof row.name, "n1");
    bed_load(bed, &ph_record_node, &row);
    load_pool(bed, "web", "", 1);
    bed_ready(bed);
    const struct ph_status_shown *shown =
        bed_get(bed, PH_MSG_STATUS, &(struct ph_nothing){0}, PH_MSG_STATUS_SHOWN);

    for (size_t i = 0; i < 2; i++)
        assert_true(shown->nodes.items[i].reason != NULL);
    assert_true(shown->pools.items[0].reason != NULL);
    bed_free(bed);
}

static void status_in_one(void **state)
{
    (void)state;
    struct bed *bed = bed_running();

    bed->now_ms += 250;
    const struct ph_status_shown *shown =
        bed_get(bed, PH_MSG_STATUS, &(struct ph_nothing){0}, PH_MSG_STATUS_SHOWN);

    assert_string_equal(shown->cluster, "cluster-one");
    assert_string_equal(shown->manager, "manager-one");
    assert_int_equal(shown->term, 7);
    assert_int_equal(shown->uptime_ms, 250);
    assert_false(shown->paused);
    assert_int_equal(shown->lease_ms, 1200);
    assert_int_equal(shown->takeover_ms, 1704);
    assert_int_equal(shown->nodes.count, 3);
    assert_int_equal(shown->pools.count, 2);
    assert_int_equal(shown->jobs.count, 0);
    bed_get(bed, PH_MSG_PAUSE, &(struct ph_nothing){0}, PH_MSG_DONE);
    shown = bed_get(bed, PH_MSG_STATUS, &(struct ph_nothing){0}, PH_MSG_STATUS_SHOWN);
    assert_true(shown->paused);
    assert_true(shown->reason[0] != '\0');
    bed_free(bed);
}

static void jobs_by_parent_and_number(void **state)
{
    (void)state;
    struct bed *bed = bed_running();
    struct ph_drain drain = {.node = "n1"};
    const struct ph_plan *plan = bed_get(bed, PH_MSG_DRAIN, &drain, PH_MSG_PLAN);
    int64_t id = plan->job;

    assert_true(id > 10);
    const struct ph_jobs_shown *shown =
        bed_get(bed, PH_MSG_JOB_LIST, &(struct ph_jobs_ask){.parent = id}, PH_MSG_JOBS_SHOWN);

    assert_int_equal(shown->jobs.count, 2); /* the drain, and its move */
    assert_int_equal(shown->jobs.items[0].id, id);
    assert_int_equal(shown->jobs.items[1].parent, id);
    assert_string_equal(shown->jobs.items[1].pool, "web");
    shown = bed_get(bed, PH_MSG_JOB_LIST, &(struct ph_jobs_ask){.parent = 5}, PH_MSG_JOBS_SHOWN);
    assert_int_equal(shown->jobs.count, 0);
    shown = bed_get(bed, PH_MSG_JOB_SHOW, &(struct ph_numbered){.id = id}, PH_MSG_JOBS_SHOWN);
    assert_int_equal(shown->jobs.count, 1);
    assert_int_equal(shown->jobs.items[0].kind, PH_JOB_DRAIN);
    bed_refused(bed, PH_MSG_JOB_SHOW, &(struct ph_numbered){.id = 9}, "not_found", "id", "query");
    bed_refused(
        bed, PH_MSG_JOB_SHOW, &(struct ph_numbered){.id = 999}, "not_found", "id", "newest");
    bed_free(bed);
}

static void unasked_types_are_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_running();

    bed_refused(bed, PH_MSG_GRANT, NULL, "bad_input", "type", "grant");
    bed->role = PH_ROLE_AGENT;
    bed_refused(bed, PH_MSG_STATUS, &(struct ph_nothing){0}, "not_allowed", "", "viewer");
    bed_free(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_with_live_values),
        cmocka_unit_test(pools_with_copies_and_ages),
        cmocka_unit_test(one_pool_whole),
        cmocka_unit_test(a_clock_set_back_makes_the_age_unknown),
        cmocka_unit_test(nothing_unusual_without_a_reason),
        cmocka_unit_test(status_in_one),
        cmocka_unit_test(jobs_by_parent_and_number),
        cmocka_unit_test(unasked_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
