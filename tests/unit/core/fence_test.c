/* Fence devices: who begins a run, how it goes through levels and attempts, and what counts as proof. */
#include "fixture.h"

#include "manager/core/fencing.h"

/* A device in a declaration; text is "name level attempts delay_ms place...". */
static void device(struct ph_fence_node *node, const char *text)
{
    struct ph_fence_spec *spec =
        ph_many_add(&ph_record_fence_spec, (struct ph_many *)(void *)&node->devices);
    char copy[200], *rest = NULL;

    assert_non_null(spec);
    snprintf(copy, sizeof copy, "%s", text);
    snprintf(spec->name, sizeof spec->name, "%s", strtok_r(copy, " ", &rest));
    spec->level = atoll(strtok_r(NULL, " ", &rest));
    spec->attempts = atoll(strtok_r(NULL, " ", &rest));
    spec->delay_ms = atoll(strtok_r(NULL, " ", &rest));
    spec->timeout_ms = 1000;
    assert_int_equal(ph_set_text(&spec->agent, "fence_test"), 0);
    for (char *place; (place = strtok_r(NULL, " ", &rest)) != NULL;)
        assert_int_equal(ph_texts_add(&spec->run_from, place), 0);
}

static struct ph_fence_node *add_node(struct ph_fence_apply *apply, const char *name)
{
    struct ph_fence_node *node =
        ph_many_add(&ph_record_fence_node, (struct ph_many *)(void *)&apply->fencing);

    assert_non_null(node);
    snprintf(node->node, sizeof node->node, "%s", name);
    return node;
}

static const struct ph_fence_applied *apply(struct fixture *fx, struct ph_fence_apply *body)
{
    fx_ask(fx, PH_MSG_FENCE_APPLY, body);
    ph_record_fini(&ph_record_fence_apply, body);
    return fx->answer_type == PH_MSG_FENCE_APPLIED ? fx->answer : NULL;
}

/* The devices of n1; their first tests are answered with "on". */
static void declare(struct fixture *fx, const char *const *devices)
{
    struct ph_fence_apply body = {0};
    struct ph_fence_node *node = add_node(&body, "n1");
    struct core_node *n1;

    for (size_t i = 0; devices[i] != NULL; i++)
        device(node, devices[i]);
    assert_non_null(apply(fx, &body));
    n1 = core_find_node(fx->core, "n1");
    for (size_t i = 0; i < n1->fencing->count; i++) {
        struct ph_fence_run run = {
            .number = n1->fencing->devices[i]->number, .term = fx->term, .action = PH_FENCE_STATUS};

        snprintf(run.node, sizeof run.node, "n1");
        snprintf(run.device, sizeof run.device, "%s", n1->fencing->devices[i]->row.name);
        if (strcmp(n1->fencing->devices[i]->where, "manager") == 0)
            fx_fence_answer(fx, &run, PH_POWER_ON);
        n1->fencing->devices[i]->number = 0;
    }
    fx->fences = 0;
}

static struct fixture *web_on_n1(uint64_t seed)
{
    struct fixture *fx = fx_new(3, seed);

    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    /* Long enough that time proves nothing while a test looks. */
    fx->config.timing.stop_ms = 30000;
    struct ph_event_in event = {.kind = PH_EV_CONFIG, .config = &fx->config};
    fx_step(fx, &event);
    fx_run(fx, 1500);
    return fx;
}

static int64_t fence(struct fixture *fx, const char *node)
{
    struct ph_fence body = {0};

    snprintf(body.node, sizeof body.node, "%s", node);
    fx_ask(fx, PH_MSG_FENCE, &body);
    return fx->answer_type == PH_MSG_DONE ? ((struct ph_done *)fx->answer)->job : 0;
}

static enum ph_node_state state_of(struct fixture *fx, const char *node)
{
    return fx_node_row(fx, node)->state;
}

static struct core_device *live(struct fixture *fx, const char *name)
{
    struct core_device *found = core_device_find(core_find_node(fx->core, "n1"), name);

    assert_non_null(found);
    return found;
}

/* The call of that device that is under way is answered. */
static void answer_device(struct fixture *fx, const char *name, enum ph_power_state power)
{
    const struct core_device *called = live(fx, name);
    struct ph_fence_run run = {
        .number = called->number, .term = fx->term, .action = called->action};

    assert_true(called->number != 0);
    snprintf(run.node, sizeof run.node, "n1");
    snprintf(run.device, sizeof run.device, "%s", name);
    fx_fence_answer(fx, &run, power);
}

static const char *const one[] = {"ipmi 1 2 0", NULL};

static void an_operator_fences(void **state)
{
    struct fixture *fx = web_on_n1(1);
    int64_t job;

    (void)state;
    assert_int_equal(fence(fx, "n1"), 0);
    assert_non_null(strstr(fx_problem(fx), "no fence device"));
    declare(fx, one);
    job = fence(fx, "n1");
    assert_true(job > 0);
    assert_int_equal(fx->fences, 1);
    assert_int_equal(fx->fence.action, PH_FENCE_OFF);
    assert_string_equal(fx->fence.agent, "fence_test");
    assert_int_equal(fence(fx, "n1"), 0);
    assert_non_null(strstr(fx_problem(fx), "already"));
    fx_fence_answer(fx, &fx->fence, PH_POWER_ON); /* it says that it did, and its status says no */
    assert_int_equal(state_of(fx, "n1"), PH_NODE_ONLINE);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_RUNNING);
    fx_run(fx, 1100);
    assert_int_equal(fx->fences, 2); /* its second attempt */
    fx_fence_answer(fx, &fx->fence, PH_POWER_FAILED);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    job = fence(fx, "n1");
    fx_kill(fx, "n1");
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_job_row(fx, job)->proof, PH_PROOF_FENCED);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n2");
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF); /* told twice: nothing more */
    fx_free(fx);
}

static void a_dry_run_touches_nothing(void **state)
{
    struct fixture *fx = web_on_n1(2);
    static const char *const devices[] = {
        "ipmi 1 2 0", "pdu-a 2 1 0 n2 n3", "pdu-b 2 1 0 n3", NULL};
    struct ph_fence body = {.node = "n1", .dry_run = true};
    const char *text;

    (void)state;
    declare(fx, devices);
    fx_ask(fx, PH_MSG_FENCE, &body);
    assert_int_equal(fx->answer_type, PH_MSG_DONE);
    text = ((struct ph_done *)fx->answer)->message;
    assert_non_null(strstr(text, "level 1: ipmi (fence_test, from manager)"));
    assert_non_null(strstr(text, "level 2: pdu-a (fence_test, from n2)"));
    assert_non_null(strstr(text, "its 1 pools"));
    fx_run(fx, 2000);
    assert_int_equal(fx->fences, 0);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_ONLINE);
    fx_free(fx);
}

static void a_silent_node_is_fenced_by_itself(void **state)
{
    struct fixture *fx = web_on_n1(3);

    (void)state;
    declare(fx, one);
    fx_kill(fx, "n1");
    fx_run(fx, 1100);
    assert_int_equal(fx->fences, 0);
    fx_run(fx, 200);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    assert_int_equal(fx->fences, 1);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n2");
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    fx_free(fx);
}

static void a_delay_lets_a_node_return(void **state)
{
    struct fixture *fx = web_on_n1(4);
    static const char *const slow[] = {"ipmi 1 2 3000", NULL};
    int calls;

    (void)state;
    declare(fx, slow);
    fx_node(fx, "n1")->cut = true;
    fx_run(fx, 4000);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    assert_int_equal(fx->fences, 0);
    fx_run(fx, 400);
    assert_int_equal(fx->fences, 1); /* 1200 + 3000 ms after its last beat */
    fx_node(fx, "n1")->cut = false;  /* it still has to stop what its lease no longer covers */
    for (int i = 0; i < 40 && state_of(fx, "n1") != PH_NODE_ONLINE; i++)
        fx_run(fx, 1000);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_ONLINE);
    calls = fx->fences;
    fx_run(fx, 10000);
    assert_int_equal(fx->fences, calls); /* and none after it has come back */
    assert_null(core_find_node(fx->core, "n1")->fence);
    fx_free(fx);
}

static void levels_in_their_order(void **state)
{
    struct fixture *fx = web_on_n1(5);
    static const char *const devices[] = {"pdu-a 2 1 0", "pdu-b 2 2 0", "ipmi 1 1 0", NULL};

    (void)state;
    declare(fx, devices);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(fx->fences, 1);
    assert_string_equal(fx->fence.device, "ipmi");
    fx_fence_answer(fx, &fx->fence, PH_POWER_FAILED);
    fx_run(fx, 10);
    assert_int_equal(fx->fences, 3); /* both of level 2 at once */
    answer_device(fx, "pdu-a", PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT); /* one of two supplies is no proof */
    answer_device(fx, "pdu-b", PH_POWER_FAILED);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    fx_run(fx, 1100);
    assert_int_equal(fx->fences, 4);
    answer_device(fx, "pdu-b", PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    fx_free(fx);
}

static void rounds_grow_apart_and_time_is_the_other_way(void **state)
{
    struct fixture *fx = web_on_n1(6);
    static const char *const single[] = {"ipmi 1 1 0", NULL};
    static const uint64_t pauses_ms[] = {2000, 4000, 8000};

    (void)state;
    declare(fx, single);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fx->fences, i + 1);
        fx_fence_answer(fx, &fx->fence, PH_POWER_ON); /* lies */
        assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
        fx_run(fx, pauses_ms[i] - 100);
        assert_int_equal(fx->fences, i + 1);
        fx_run(fx, 200);
    }
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_run(fx, 20000);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_LOST); /* by time */
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    int calls = fx->fences;
    fx_run(fx, 70000);
    assert_int_equal(fx->fences, calls);
    fx_free(fx);
}

static void no_answer_is_no_proof(void **state)
{
    struct fixture *fx = web_on_n1(7);
    static const char *const single[] = {"ipmi 1 1 0", NULL};
    struct ph_fence_run first = {0};

    (void)state;
    declare(fx, single);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(ph_record_copy(&ph_record_fence_run, &first, &fx->fence), 0);
    fx_run(fx, 7200); /* 2 * timeout and the way there and back */
    assert_int_equal(live(fx, "ipmi")->number, 0);
    assert_int_equal(live(fx, "ipmi")->row.power, PH_POWER_FAILED);
    fx_fence_answer(fx, &first, PH_POWER_OFF); /* late: the call counts no longer */
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    fx_run(fx, 3000);
    assert_int_equal(fx->fences, 2);
    fx_fence_answer(fx, &first, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    ph_record_fini(&ph_record_fence_run, &first);
    fx_free(fx);
}

static void back_before_it_was_told(void **state)
{
    struct fixture *fx = web_on_n1(9);
    int64_t job;

    (void)state;
    declare(fx, one);
    job = fence(fx, "n1");
    fx_kill(fx, "n1");
    fx_boot(fx, "n1");
    fx_run(fx, 1000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF); /* was off: what runs there now is its own */
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_run(fx, 1000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

static void answers_of_another_term_or_place_do_not_count(void **state)
{
    struct fixture *fx = web_on_n1(10);
    struct ph_fence_ran ran = {
        .action = PH_FENCE_OFF, .power = PH_POWER_OFF, .node = "n1", .device = "ipmi"};
    struct ph_event_in event = {
        .kind = PH_EV_MESSAGE, .type = PH_MSG_FENCE_RAN, .sender = "n3", .body = &ran};

    (void)state;
    declare(fx, one);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    ran.number = fx->fence.number;
    ran.term = fx->term;
    fx_step(fx, &event); /* n3 was not asked */
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    event.kind = PH_EV_FENCE_DONE;
    ran.term--;
    fx_step(fx, &event);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    ran.term++;
    ran.action = PH_FENCE_STATUS; /* a test of long ago */
    fx_step(fx, &event);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    ran.action = PH_FENCE_OFF;
    snprintf(ran.device, sizeof ran.device, "other");
    fx_step(fx, &event);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    snprintf(ran.device, sizeof ran.device, "ipmi");
    fx_step(fx, &event);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    fx_free(fx);
}

static void a_node_that_reaches_the_device_is_asked(void **state)
{
    struct fixture *fx = web_on_n1(11);
    static const char *const remote[] = {"ipmi 1 2 0 n2 n3 manager", NULL};

    (void)state;
    declare(fx, remote);
    fx_trace_on(fx);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(fx->fences, 0);
    assert_non_null(strstr(fx->trace, "send n2 fence.run"));
    fx_run(fx, 8300); /* n2 does not answer: the next in the list is asked */
    assert_non_null(strstr(fx->trace, "send n3 fence.run"));
    assert_string_equal(live(fx, "ipmi")->where, "n3");
    struct ph_fence_ran ran = {.action = PH_FENCE_OFF,
        .power = PH_POWER_OFF,
        .node = "n1",
        .device = "ipmi",
        .number = live(fx, "ipmi")->number,
        .term = fx->term};
    struct ph_event_in event = {
        .kind = PH_EV_MESSAGE, .type = PH_MSG_FENCE_RAN, .sender = "n3", .body = &ran};
    fx_step(fx, &event);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    fx_free(fx);
}

static void never_when_the_manager_is_cut_off(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 60; seed++) {
        struct fixture *fx = web_on_n1(seed);

        fx_seed_said = seed;
        declare(fx, one);
        fx_run(fx, fx_dice(fx, 200));
        for (int i = 1; i <= 3; i++) {
            char name[8];

            snprintf(name, sizeof name, "n%d", i);
            fx_node(fx, name)->cut = true;
        }
        fx_run(fx, 10000);
        if (fx->fences != 0)
            fail_msg("seed %llu: fenced by a manager that is cut off", (unsigned long long)seed);
        fx_free(fx);
    }
}

/* Its witnesses hear it: the manager alone does not. */
static void never_while_a_witness_hears_it(void **state)
{
    struct fixture *fx;
    bool voted = false;

    (void)state;
    for (uint64_t seed = 70; seed < 80; seed++) {
        fx = fx_new(3, seed);
        fx_seed_said = seed;
        fx_run(fx, 500);
        fx_keys(fx);
        fx_manager_stop(fx);
        fx_manager_start(fx); /* it knows them from the inventory */
        fx_declare(fx, "web", 1, "n1");
        fx_run(fx, 5000);
        assert_string_equal(fx_active_on(fx, "web"), "n1");
        declare(fx, one);
        assert_true(core_find_node(fx->core, "n1")->voters.version > 0);
        fx_node(fx, "n1")->cut = true;
        fx_run(fx, 10000);
        voted |= core_node_via(fx->core, core_find_node(fx->core, "n1")) != NULL;
        assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
        assert_int_equal(fx->fences, 0);
        assert_string_equal(fx_active_on(fx, "web"), "n1");
        fx_kill(fx, "n1"); /* now it is gone for them, too */
        fx_run(fx, 1000 + 4 * 1200 + 400);
        assert_true(fx->fences > 0 || state_of(fx, "n1") == PH_NODE_LOST);
        fx_free(fx);
    }
    assert_true(voted);
}

static void never_while_paused(void **state)
{
    struct fixture *fx = web_on_n1(12);
    struct ph_nothing nothing = {0};

    (void)state;
    declare(fx, one);
    fx_ask(fx, PH_MSG_PAUSE, &nothing);
    fx_kill(fx, "n1");
    fx_run(fx, 5000);
    assert_int_equal(fx->fences, 0);
    fx_ask(fx, PH_MSG_UNPAUSE, &nothing);
    fx_run(fx, 500);
    assert_int_equal(fx->fences, 1);
    fx_ask(fx, PH_MSG_PAUSE, &nothing); /* also what is under way makes no further call */
    fx_fence_answer(fx, &fx->fence, PH_POWER_FAILED);
    fx_run(fx, 5000);
    assert_int_equal(fx->fences, 1);
    fx_free(fx);
}

static void never_for_nothing(void **state)
{
    struct fixture *fx = fx_new(3, 13);

    (void)state;
    fx_declare(fx, "web", 1, "n2");
    fx_run(fx, 3000);
    declare(fx, one);
    fx_kill(fx, "n1"); /* runs nothing */
    fx_run(fx, 5000);
    assert_int_equal(fx->fences, 0);
    fx_free(fx);
}

static void cancelled_stays_cancelled(void **state)
{
    struct fixture *fx = web_on_n1(14);
    struct ph_numbered body = {0};

    (void)state;
    declare(fx, one);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(fx->fences, 1);
    body.id = core_find_node(fx->core, "n1")->fence->row.id;
    fx_ask(fx, PH_MSG_JOB_CANCEL, &body);
    assert_string_equal(fx_problem(fx), "");
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    fx_run(fx, 5000);
    assert_int_equal(fx->fences, 1);
    fx_boot(fx, "n1"); /* heard again, and silent again: a new matter */
    fx_run(fx, 2000);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_ONLINE);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(fx->fences, 2);
    fx_free(fx);
}

static void a_new_manager_waits_before_it_fences(void **state)
{
    struct fixture *fx = web_on_n1(15);

    (void)state;
    declare(fx, one);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(fx->fences, 1);
    fx_manager_stop(fx);
    fx_manager_start(fx); /* its own run is forgotten: the node may have come back meanwhile */
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_SUSPECT);
    fx_run(fx, 5000);
    assert_int_equal(fx->fences, 1); /* it may be slow to find the new one */
    fx_boot(fx, "n1");
    fx_run(fx, 3000);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_ONLINE);
    assert_int_equal(fx->fences, 1);
    fx_free(fx);
}

static void an_operators_run_outlives_the_manager(void **state)
{
    struct fixture *fx = web_on_n1(16);
    int64_t job;

    (void)state;
    declare(fx, one);
    job = fence(fx, "n1");
    fx_manager_stop(fx);
    fx_manager_start(fx);
    assert_int_equal(fx->fences, 2);
    fx_kill(fx, "n1");
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    fx_free(fx);
}

static void off_and_on_again(void **state)
{
    struct fixture *fx = web_on_n1(17);
    struct ph_fence body = {.node = "n1", .reboot = true};
    struct ph_named named = {.name = "n1"};

    (void)state;
    declare(fx, one);
    fx_ask(fx, PH_MSG_FENCE, &body);
    fx_kill(fx, "n1");
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED); /* the proof does not wait for the rest */
    fx_run(fx, 10);
    assert_int_equal(fx->fence.action, PH_FENCE_ON);
    fx_ask(fx, PH_MSG_FENCE_ON, &named);
    assert_non_null(strstr(fx_problem(fx), "being switched on already"));
    fx_fence_answer(fx, &fx->fence, PH_POWER_ON);
    fx_boot(fx, "n1");
    fx_run(fx, 3000);
    assert_int_equal(state_of(fx, "n1"), PH_NODE_ONLINE);
    int calls = fx->fences;
    fx_run(fx, 5000);
    assert_int_equal(fx->fences, calls);
    fx_ask(fx, PH_MSG_FENCE_ON, &named); /* by itself, too */
    assert_string_equal(fx_problem(fx), "");
    assert_int_equal(fx->fence.action, PH_FENCE_ON);
    fx_fence_answer(fx, &fx->fence, PH_POWER_ON);
    fx_free(fx);
}

static void tests_switch_nothing(void **state)
{
    struct fixture *fx = web_on_n1(18);
    struct ph_fence_ask ask = {.node = "n1"};
    const struct ph_fence_shown *shown;

    (void)state;
    declare(fx, one);
    fx_ask(fx, PH_MSG_FENCE_TEST, &ask);
    assert_int_equal(fx->fences, 1);
    assert_int_equal(fx->fence.action, PH_FENCE_STATUS);
    fx_ask(fx, PH_MSG_FENCE_LIST, &ask);
    shown = fx->answer;
    assert_int_equal(shown->devices.count, 1);
    assert_true(shown->devices.items[0].busy);
    fx_fence_answer(
        fx, &fx->fence, PH_POWER_OFF); /* says OFF of a node that beats: no proof of anything */
    assert_int_equal(state_of(fx, "n1"), PH_NODE_ONLINE);
    fx_ask(fx, PH_MSG_FENCE_LIST, &ask);
    shown = fx->answer;
    assert_false(shown->devices.items[0].busy);
    assert_int_equal(shown->devices.items[0].power, PH_POWER_OFF);
    assert_string_equal(shown->devices.items[0].checked_from, "manager");
    assert_true(shown->devices.items[0].checked_at > 0);
    snprintf(ask.node, sizeof ask.node, "n2");
    fx_ask(fx, PH_MSG_FENCE_TEST, &ask);
    assert_non_null(strstr(fx_problem(fx), "no fence device"));
    fx_free(fx);
}

static void devices_are_tested_now_and_then(void **state)
{
    struct fixture *fx = fx_new(3, 19);

    (void)state;
    fx->config.fence_test_ms = 60000;
    struct ph_event_in event = {.kind = PH_EV_CONFIG, .config = &fx->config};
    fx_step(fx, &event);
    fx_run(fx, 1000);
    declare(fx, one);
    fx_run(fx, 61000);
    assert_int_equal(fx->fences, 1);
    assert_int_equal(fx->fence.action, PH_FENCE_STATUS);
    fx_fence_answer(fx, &fx->fence, PH_POWER_ON);
    fx_run(fx, 60000);
    assert_int_equal(fx->fences, 2);
    fx_free(fx);
}

static void fenced_by_word_ends_the_run(void **state)
{
    struct fixture *fx = web_on_n1(61);
    struct ph_fence body = {.node = "n1", .confirm_dead = "n1"};

    (void)state;
    declare(fx, one);
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(fx->fences, 1);
    fx_ask(fx, PH_MSG_FENCE, &body);
    assert_string_equal(fx_problem(fx), "");
    assert_int_equal(state_of(fx, "n1"), PH_NODE_FENCED);
    assert_null(core_find_node(fx->core, "n1")->fence);
    fx_fence_answer(fx, &fx->fence, PH_POWER_OFF);
    fx_run(fx, 5000);
    assert_int_equal(fx->fences, 1);
    fx_free(fx);
}

/* ---- declaring ---- */
static void declaring_is_idempotent(void **state)
{
    struct fixture *fx = fx_new(3, 30);
    struct ph_fence_apply body = {0};
    const struct ph_fence_applied *applied;

    (void)state;
    fx_run(fx, 1000);
    for (int round = 0; round < 3; round++) {
        struct ph_fence_node *node = add_node(&body, "n1");

        body.dry_run = round == 0;
        device(node, "ipmi 0 0 0");
        device(node, "pdu 2 3 100 n2");
        applied = apply(fx, &body);
        assert_non_null(applied);
        assert_int_equal(applied->added, round == 2 ? 0 : 2);
        assert_int_equal(applied->unchanged, round == 2 ? 2 : 0);
        assert_int_equal(applied->dry_run, round == 0);
        assert_true((core_find_node(fx->core, "n1")->fencing != NULL) == (round > 0));
    }
    assert_int_equal(live(fx, "ipmi")->row.level, 1);
    assert_int_equal(live(fx, "ipmi")->row.attempts, CORE_FENCE_ATTEMPTS);
    assert_string_equal(live(fx, "ipmi")->row.run_from.items[0], "manager");
    struct ph_fence_node *node = add_node(&body, "n1");
    device(node, "ipmi 0 5 0");
    applied = apply(fx, &body);
    assert_int_equal(applied->changed, 1);
    assert_int_equal(applied->removed, 1);
    assert_int_equal(applied->changes.count, 2);
    assert_string_equal(applied->changes.items[1].field, "attempts");
    assert_string_equal(applied->changes.items[1].before, "2");
    assert_string_equal(applied->changes.items[1].after, "5");
    fx_manager_stop(fx);
    fx_manager_start(fx);
    assert_int_equal(live(fx, "ipmi")->row.attempts, 5); /* it is in the inventory */
    add_node(&body, "n2");
    body.prune = true;
    applied = apply(fx, &body);
    assert_int_equal(applied->removed, 1);
    assert_int_equal(core_find_node(fx->core, "n1")->fencing->count, 0);
    fx_free(fx);
}

struct bad {
    const char *option, *file, *agent, *place;
    const char *field, *message;
};

static void bad_declarations_change_nothing(void **state)
{
    static const struct bad cases[] = {
        {.agent = "ipmilan", .field = "fencing[1].devices[1].agent", .message = "no fence agent"},
        {.agent = "/usr/sbin/fence_apc", .field = "devices[1].agent", .message = "without a path"},
        {.agent = "fence_scsi",
            .field = "devices[1].agent",
            .message = "does not switch a node off"},
        {.option = "action=on", .field = "devices[1].options[0]", .message = "given by Poolherd"},
        {.option = "password=hunter2",
            .field = "options[0]",
            .message = "option_files: [password=/path]"},
        {.option = "snmp_priv_passwd=hunter2", .field = "options[0]", .message = "is a secret"},
        {
            .option = "debug_file=/tmp/x",
            .field = "options[0]",
            .message = "makes an agent write down",
        },
        {.option = "noequals", .field = "options[0]", .message = "key=value"},
        {.option = "ip=1\naction=on", .field = "options[0]", .message = "one line"},
        {.file = "password=relative", .field = "option_files[0]", .message = "absolute path"},
        {.option = "a=1", .file = "a=/x", .field = "option_files[0]", .message = "given twice"},
        {.place = "n1", .field = "run_from[0]", .message = "cannot switch itself off"},
        {.place = "n9", .field = "run_from[0]", .message = "there is no node n9"},
    };
    struct fixture *fx = fx_new(3, 31);

    (void)state;
    fx_run(fx, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_fence_apply body = {0};
        struct ph_fence_node *good = add_node(&body, "n2"), *node;
        struct ph_fence_spec *spec;

        device(good, "fine 1 1 0");
        node = add_node(&body, "n1");
        device(node, "first 1 1 0");
        device(node, "second 1 1 0");
        spec = &node->devices.items[1];
        if (cases[i].agent != NULL)
            assert_int_equal(ph_set_text(&spec->agent, cases[i].agent), 0);
        if (cases[i].option != NULL)
            assert_int_equal(ph_texts_add(&spec->options, cases[i].option), 0);
        if (cases[i].file != NULL)
            assert_int_equal(ph_texts_add(&spec->option_files, cases[i].file), 0);
        if (cases[i].place != NULL)
            assert_int_equal(ph_texts_add(&spec->run_from, cases[i].place), 0);
        assert_null(apply(fx, &body));
        assert_int_equal(fx->answer_type, PH_MSG_PROBLEM);
        const struct ph_problem *problem = fx->answer;

        if (strstr(problem->field, cases[i].field) == NULL ||
            strstr(problem->message, cases[i].message) == NULL)
            fail_msg("case %zu: %s: %s", i, problem->field, problem->message);
        assert_null(strstr(problem->message, "hunter2"));
        assert_null(core_find_node(fx->core, "n2")->fencing);
    }
    struct ph_fence_apply body = {0};

    add_node(&body, "n7");
    assert_null(apply(fx, &body));
    assert_non_null(strstr(fx_problem(fx), "there is no node n7"));
    add_node(&body, "n1");
    add_node(&body, "n1");
    assert_null(apply(fx, &body));
    assert_non_null(strstr(fx_problem(fx), "declared twice"));
    struct ph_fence_node *twice = add_node(&body, "n1");
    device(twice, "a 1 1 0");
    device(twice, "a 2 1 0");
    assert_null(apply(fx, &body));
    assert_non_null(strstr(fx_problem(fx), "two devices named a"));
    fx_free(fx);
}

static void doctor_says_what_works(void **state)
{
    struct fixture *fx = fx_new(2, 32);
    struct ph_nothing nothing = {0};
    const struct ph_findings_shown *shown;
    bool without = false, works = false, broken = false;

    (void)state;
    fx_run(fx, 1000);
    declare(fx, one);
    for (int round = 0; round < 2; round++) {
        fx_ask(fx, PH_MSG_DOCTOR, &nothing);
        shown = fx->answer;
        for (size_t i = 0; i < shown->findings.count; i++) {
            const struct ph_finding *finding = &shown->findings.items[i];

            without |= strcmp(finding->guarantee, "fence-devices") == 0 && !finding->holds &&
                       strstr(finding->message, "n2") != NULL;
            works |= strcmp(finding->guarantee, "fence-devices-work") == 0 && finding->holds &&
                     strstr(finding->message, "n1/ipmi from manager: on 0 s ago") != NULL;
            broken |= strcmp(finding->guarantee, "fence-devices-work") == 0 && !finding->holds &&
                      strstr(finding->message, "n1/ipmi from manager: failed") != NULL;
        }
        assert_true(without && works && broken == (round == 1));
        struct ph_fence_ask ask = {.node = "n1"};

        fx_ask(fx, PH_MSG_FENCE_TEST, &ask);
        fx_fence_answer(fx, &fx->fence, PH_POWER_FAILED);
    }
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operator_fences),
        cmocka_unit_test(a_dry_run_touches_nothing),
        cmocka_unit_test(a_silent_node_is_fenced_by_itself),
        cmocka_unit_test(a_delay_lets_a_node_return),
        cmocka_unit_test(levels_in_their_order),
        cmocka_unit_test(rounds_grow_apart_and_time_is_the_other_way),
        cmocka_unit_test(no_answer_is_no_proof),
        cmocka_unit_test(back_before_it_was_told),
        cmocka_unit_test(answers_of_another_term_or_place_do_not_count),
        cmocka_unit_test(a_node_that_reaches_the_device_is_asked),
        cmocka_unit_test(never_when_the_manager_is_cut_off),
        cmocka_unit_test(never_while_a_witness_hears_it),
        cmocka_unit_test(never_while_paused),
        cmocka_unit_test(never_for_nothing),
        cmocka_unit_test(cancelled_stays_cancelled),
        cmocka_unit_test(a_new_manager_waits_before_it_fences),
        cmocka_unit_test(an_operators_run_outlives_the_manager),
        cmocka_unit_test(off_and_on_again),
        cmocka_unit_test(tests_switch_nothing),
        cmocka_unit_test(devices_are_tested_now_and_then),
        cmocka_unit_test(fenced_by_word_ends_the_run),
        cmocka_unit_test(declaring_is_idempotent),
        cmocka_unit_test(bad_declarations_change_nothing),
        cmocka_unit_test(doctor_says_what_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
