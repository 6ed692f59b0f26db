/* Which guarantees hold: each finding turns with what it is about. */
#include "tests/unit/core/request_bed.h"

static const struct ph_findings_shown *doctor(struct bed *bed)
{
    const struct ph_findings_shown *shown =
        bed_get(bed, PH_MSG_DOCTOR, &(struct ph_nothing){0}, PH_MSG_FINDINGS_SHOWN);
    bool sound = false;

    assert_int_equal(bed->effects.count, 1);
    for (size_t i = 0; i < shown->findings.count; i++) {
        const struct ph_finding *finding = &shown->findings.items[i];

        if (sound)
            assert_true(finding->holds); /* what does not hold comes first */
        sound = finding->holds;
        assert_true(finding->message[0] != '\0');
        assert_true(finding->holds == (finding->remedy == NULL));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(finding->guarantee, shown->findings.items[j].guarantee);
    }
    return shown;
}

static void expect(struct bed *bed, const char *guarantee, bool holds, const char *words)
{
    const struct ph_findings_shown *shown = doctor(bed);

    for (size_t i = 0; i < shown->findings.count; i++) {
        const struct ph_finding *finding = &shown->findings.items[i];

        if (strcmp(finding->guarantee, guarantee) != 0)
            continue;
        if (finding->holds != holds || strstr(finding->message, words) == NULL)
            fail_msg("%s %s: %s", guarantee, finding->holds ? "holds" : "does not hold",
                finding->message);
        return;
    }
    fail_msg("no finding %s", guarantee);
}

static void an_empty_cluster(void **state)
{
    (void)state;
    struct bed *bed = bed_new();

    bed_ready(bed);
    expect(bed, "second-node", false, "0 nodes");
    expect(bed, "manager-silence", false, "longer than lease_ms (1200 ms) stops every pool safely");
    expect(bed, "manager-single", false, "one manager");
    expect(bed, "lease-rules", true, "1704 ms");
    expect(bed, "clock-drift", true, "0.001");
    expect(bed, "watchdog", true, "no node yet");
    expect(bed, "manager-term", true, "7");
    expect(bed, "capacity-after-loss", true, "");
    bed_free(bed);
}

static void nodes(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_node row = {.state = PH_NODE_LOST, .cpu = 1000};

    bed_node(bed, "n1");
    bed_node(bed, "n2");
    ph_text_format(row.name, sizeof row.name, "n3");
    assert_int_equal(ph_set_text(&row.version, "0.0.9"), 0);
    bed_load(bed, &ph_record_node, &row);
    bed_ready(bed);
    expect(bed, "second-node", true, "2 nodes");
    expect(bed, "nodes-ready", false, "n3");
    expect(bed, "fence-devices", false, "n1, n2, n3");
    expect(bed, "sizes-known", true, "");
    expect(bed, "one-version", false, "0.0.9");
    bed_free(bed);
}

static void pools(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_pool row = {.state = PH_POOL_ACTIVE,
        .epoch = 1,
        .created = true,
        .copies = 1,
        .sync_interval_s = 2,
        .memory_mib = 6000,
        .revision = 1,
        .max_data_loss_s = 60};
    struct ph_replica replica = {
        .state = PH_REPLICA_COMPLETE, .epoch = 1, .sequence = 1, .as_of = BED_WALL_MS - 5000};

    bed_node(bed, "n1");
    bed_node(bed, "n2");
    ph_text_format(row.name, sizeof row.name, "web");
    ph_text_format(row.driver, sizeof row.driver, "directory");
    ph_text_format(row.node, sizeof row.node, "n1");
    bed_load(bed, &ph_record_pool, &row);
    ph_text_format(replica.pool, sizeof replica.pool, "web");
    ph_text_format(replica.node, sizeof replica.node, "n2");
    bed_load(bed, &ph_record_replica, &replica);
    bed_ready(bed);
    expect(bed, "pools-active", true, "");
    expect(bed, "copies-declared", true, "");
    expect(bed, "copies-complete", true, "");
    expect(bed, "copies-fresh", true, "");
    expect(bed, "data-loss-limit", true, "");
    expect(bed, "capacity-after-loss", true, "n1");
    expect(bed, "not-overfull", true, "");
    bed->wall_ms += 20000; /* and no copy since */
    expect(bed, "copies-fresh", false, "web");

    struct ph_apply apply = {0};
    struct ph_pool_spec *db = bed_spec(&apply, "db");

    db->memory_mib = 7000;
    bed_apply(bed, &apply);
    expect(bed, "copies-declared", false, "db");
    expect(bed, "capacity-after-loss", false, "db");
    expect(bed, "pools-active", false, "db");
    db->copies = 1;
    bed_apply(bed, &apply);
    expect(bed, "copies-declared", true, "");
    expect(bed, "copies-complete", false, "db");
    expect(bed, "data-loss-limit", false, "db");
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

static void pauses_are_said(void **state)
{
    (void)state;
    struct bed *bed = bed_three();

    expect(bed, "automatic-action", true, "");
    bed_get(bed, PH_MSG_PAUSE, &(struct ph_nothing){0}, PH_MSG_DONE);
    expect(bed, "automatic-action", false, "paused");
    bed_get(bed, PH_MSG_UNPAUSE, &(struct ph_nothing){0}, PH_MSG_DONE);
    expect(bed, "automatic-action", true, "");
    bed_free(bed);
}

static void unsafe_settings_are_said(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_core_config config;
    struct ph_event_in in = {
        .kind = PH_EV_CONFIG, .now_ms = bed->now_ms, .wall_ms = bed->wall_ms, .config = &config};

    ph_core_config_default(&config);
    config.timing.clock_drift = 0;
    config.hold_without_watchdog = true;
    ph_effects_clear(&bed->effects);
    assert_int_equal(ph_core_step(bed->core, &in, &bed->effects), 0);
    expect(bed, "clock-drift", false, "exactly the same rate");
    expect(bed, "watchdog", false, "without_watchdog: hold): n1, n2, n3");
    bed_free(bed);
}

static void last_resorts_are_said(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    static const struct {
        const char *name;
        int64_t watchdog_ms;
        enum ph_kill_means kills_by;
        bool stuck;
    } nodes[] = {{"n1", 8000, PH_KILLS_CGROUP, false}, {"n2", 0, PH_KILLS_NAMESPACE, false},
        {"n3", 0, PH_KILLS_GROUPS, true}};

    for (size_t i = 0; i < 3; i++) {
        struct ph_node row = {.state = PH_NODE_ONLINE,
            .generation = 1,
            .granting = true,
            .watchdog_ms = nodes[i].watchdog_ms,
            .kills_by = nodes[i].kills_by,
            .stuck = nodes[i].stuck};

        ph_text_format(row.name, sizeof row.name, "%s", nodes[i].name);
        if (i == 1)
            assert_int_equal(ph_set_text(&row.guard_note, "the watchdog is busy"), 0);
        bed_load(bed, &ph_record_node, &row);
    }
    bed_ready(bed);
    expect(bed, "watchdog", false, "without_watchdog: accept), trusting that SIGKILL ends");
    expect(bed, "watchdog", false, ": n2, n3");
    expect(bed, "guard-and-agent", false, "as well: n3");
    expect(bed, "kill-means", false, "escapes: n3");
    expect(bed, "guard-means", false, "n2; the first says: the watchdog is busy");
    expect(bed, "nothing-stuck", false, "stopped on n3");
    bed_free(bed);
}

static void many_names_are_cut(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};
    char name[64];

    for (int i = 0; i < 300; i++) {
        ph_text_format(name, sizeof name, "a-rather-long-name-of-a-pool-%03d", i);
        bed_spec(&apply, name)->memory_mib = 9000;
    }
    bed_apply(bed, &apply);
    expect(bed, "pools-active", false, " more");
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_cluster),
        cmocka_unit_test(nodes),
        cmocka_unit_test(pools),
        cmocka_unit_test(pauses_are_said),
        cmocka_unit_test(unsafe_settings_are_said),
        cmocka_unit_test(last_resorts_are_said),
        cmocka_unit_test(many_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
