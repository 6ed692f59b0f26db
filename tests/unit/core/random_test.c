/*
 * Histories from seeds: nodes die, hang, are cut off and return, agents and managers restart in the
 * middle of what they do, messages are lost, doubled, late and out of order, operators change their
 * minds. After every step the core is sound, and no pool ever runs twice; when the world is whole
 * again, everything that can run does.
 */
#include "fixture.h"

static const char *const pools[] = {"db", "mail", "web", "wiki"};

static const char *a_node(struct fixture *fx)
{
    return fx->nodes[fx_dice(fx, (unsigned)fx->node_count)].name;
}

static const char *a_pool(struct fixture *fx)
{
    return pools[fx_dice(fx, 4)];
}

static void operate(struct fixture *fx)
{
    struct ph_named named = {0};
    struct ph_pool_move move = {0};
    struct ph_drain drain = {0};
    struct ph_pool_start start = {.retry = true};
    struct ph_numbered numbered = {0};

    snprintf(named.name, sizeof named.name, "%s", a_node(fx));
    snprintf(drain.node, sizeof drain.node, "%s", a_node(fx));
    snprintf(move.pool, sizeof move.pool, "%s", a_pool(fx));
    snprintf(start.pool, sizeof start.pool, "%s", a_pool(fx));
    switch (fx_dice(fx, 10)) {
    case 0:
        drain.max_parallel = fx_dice(fx, 3);
        drain.deadline_s = fx_dice(fx, 3) == 0 ? 1 + fx_dice(fx, 10) : 0;
        fx_ask(fx, PH_MSG_DRAIN, &drain);
        break;
    case 1:
    case 2:
        fx_ask(fx, PH_MSG_RESUME, &named);
        break;
    case 3:
    case 4:
        if (fx_dice(fx, 2) == 0)
            snprintf(move.target, sizeof move.target, "%s", a_node(fx));
        fx_ask(fx, PH_MSG_POOL_MOVE, &move);
        break;
    case 5:
        start.accept_data_loss = fx_dice(fx, 2) == 0;
        fx_ask(fx, PH_MSG_POOL_START, &start);
        break;
    case 6:
        snprintf(named.name, sizeof named.name, "%s", a_pool(fx));
        fx_ask(fx, PH_MSG_POOL_STOP, &named);
        break;
    case 7:
        numbered.id = fx->last_job_id - (int64_t)fx_dice(fx, 4);
        if (numbered.id > 0)
            fx_ask(fx, PH_MSG_JOB_CANCEL, &numbered);
        break;
    case 8:
        if (fx_dice(fx, 4) == 0) {
            struct ph_pool_remove gone = {.destroy_data = fx_dice(fx, 2) == 0};

            memcpy(gone.pool, move.pool, sizeof gone.pool);
            fx_ask(fx, PH_MSG_POOL_REMOVE, &gone);
        }
        break;
    default:
        fx_declare(fx, a_pool(fx), fx_dice(fx, 3), fx_dice(fx, 2) ? a_node(fx) : NULL);
        break;
    }
}

/* Nothing of it can run, so that an operator may swear. */
static void swear(struct fixture *fx, const struct fx_node *node)
{
    struct ph_fence fence = {0};

    if (node->up)
        return;
    snprintf(fence.node, sizeof fence.node, "%s", node->name);
    snprintf(fence.confirm_dead, sizeof fence.confirm_dead, "%s", node->name);
    fx_ask(fx, PH_MSG_FENCE, &fence);
}

static void nature(struct fixture *fx)
{
    struct fx_node *node = &fx->nodes[fx_dice(fx, (unsigned)fx->node_count)];
    struct fx_local *local =
        node->pool_count > 0 ? &node->pools[fx_dice(fx, (unsigned)node->pool_count)] : NULL;

    switch (fx_dice(fx, 14)) {
    case 0:
    case 1:
        if (node->up)
            fx_kill(fx, node->name);
        else
            fx_boot(fx, node->name);
        break;
    case 2:
    case 3:
        if (!node->up)
            fx_boot(fx, node->name);
        break;
    case 4:
        node->cut = !node->cut;
        break;
    case 5:
    case 6:
        node->cut = false;
        break;
    case 7:
        if (node->up)
            fx_agent_restart(fx, node->name);
        break;
    case 8:
        fx->crash_after = (int64_t)fx_dice(fx, 12);
        break;
    case 9:
        swear(fx, node);
        break;
    case 10:
        if (local != NULL)
            local->fail_activate = (int)fx_dice(fx, 5);
        break;
    case 11:
        if (local != NULL)
            local->slow_stop = !local->slow_stop;
        break;
    case 12:
        fx->no_copies = !fx->no_copies;
        break;
    default:
        fx->loss_percent = fx_dice(fx, 3) == 0 ? fx_dice(fx, 30) : 0;
        fx->twice_percent = fx_dice(fx, 20);
        fx->delay_ms = 1 + fx_dice(fx, fx_dice(fx, 4) == 0 ? 400 : 20);
        break;
    }
}

static void heal(struct fixture *fx)
{
    fx->loss_percent = fx->twice_percent = 0;
    fx->delay_ms = 3;
    fx->no_copies = false;
    fx->crash_after = -1;
    if (fx->core == NULL)
        fx_manager_start(fx);
    for (int i = 0; i < fx->node_count; i++) {
        fx->nodes[i].cut = false;
        if (!fx->nodes[i].up)
            fx_boot(fx, fx->nodes[i].name);
        for (int p = 0; p < fx->nodes[i].pool_count; p++) {
            fx->nodes[i].pools[p].slow_stop = false;
            fx->nodes[i].pools[p].fail_activate = 0;
        }
    }
}

/* Everything that may run does; what does not says why, and no job is stuck. */
static void expect_whole(struct fixture *fx)
{
    struct ph_named named = {0};

    while (fx->core->drain_count > 0) {
        struct ph_numbered drain = {.id = fx->core->drains[0]->row.id};

        fx_ask(fx, PH_MSG_JOB_CANCEL, &drain);
        fx_run(fx, 5000);
        if (fx->now_ms > 3000000)
            fail_msg("seed %llu: drain %lld does not end", (unsigned long long)fx_seed_said,
                (long long)drain.id);
    }
    for (int i = 0; i < fx->node_count; i++) {
        snprintf(named.name, sizeof named.name, "%s", fx->nodes[i].name);
        fx_ask(fx, PH_MSG_RESUME, &named);
    }
    for (int i = 0; i < 4; i++) {
        struct ph_pool_start start = {.retry = true, .accept_data_loss = true};

        snprintf(start.pool, sizeof start.pool, "%s", pools[i]);
        fx_ask(fx, PH_MSG_POOL_START, &start);
    }
    fx_run(fx, 30000);
    for (int i = 0; i < 4; i++) {
        const struct ph_pool *row = fx_pool_row(fx, pools[i]);

        if (row == NULL || row->desired == PH_DESIRED_INACTIVE)
            continue;
        if (row->state != PH_POOL_ACTIVE)
            fail_msg("seed %llu: %s is %s: %s", (unsigned long long)fx_seed_said, row->name,
                ph_enum_word(&ph_enum_pool_state, (int)row->state), row->reason);
        assert_string_equal(fx_active_on(fx, pools[i]), row->node);
    }
    for (size_t i = 0; i < fx->core->job_count; i++) {
        const struct ph_job *row = &fx->core->jobs[i]->row;

        if (!core_job_ended(fx->core->jobs[i]))
            fail_msg("seed %llu: job %lld (%s of %s%s, %s) is %s still: %s",
                (unsigned long long)fx_seed_said, (long long)row->id,
                ph_enum_word(&ph_enum_job_kind, (int)row->kind), row->pool,
                row->pool[0] ? "" : row->node, ph_enum_word(&ph_enum_job_phase, (int)row->phase),
                ph_enum_word(&ph_enum_job_state, (int)row->state),
                row->waiting_on == NULL ? "" : row->waiting_on);
    }
}

static void history(uint64_t seed, bool trace)
{
    struct fixture *fx = fx_new(2 + (int)(seed % 4), seed);

    if (seed % 3 != 0)
        fx_keys(fx); /* with witnesses */

    fx->config.silent_share_percent = seed % 3 == 0 ? 50 : 100;
    fx->keeps_beats = seed % 2 == 0;
    fx->core->config = fx->config;
    if (trace)
        fx_trace_on(fx);
    for (int i = 0; i < 4; i++)
        fx_declare(fx, pools[i], i % 3, i == 0 ? "n1" : NULL);
    fx_run(fx, 1000);
    for (int i = 0; i < 60; i++) {
        if (fx->core == NULL && fx_dice(fx, 3) > 0)
            fx_manager_start(fx);
        if (fx_dice(fx, 3) == 0)
            operate(fx);
        else
            nature(fx);
        fx_run(fx, fx_dice(fx, 4) == 0 ? 2000 : 5 + fx_dice(fx, 300));
    }
    heal(fx);
    fx_run(fx, 60000);
    expect_whole(fx);
    fx_free(fx);
}

static void histories(void **state)
{
    const char *one = getenv("PH_SEED"), *many = getenv("PH_SEEDS");
    uint64_t count = many == NULL ? 150 : strtoull(many, NULL, 10);

    (void)state;
    if (one != NULL) {
        fx_seed_said = strtoull(one, NULL, 10);
        history(fx_seed_said, getenv("PH_TRACE") != NULL);
        return;
    }
    for (uint64_t seed = 1; seed <= count; seed++) {
        fx_seed_said = seed;
        history(seed, false);
    }
}

/* ---- messages no honest agent and no sane operator would send ---- */
static int64_t a_number(struct fixture *fx)
{
    static const int64_t odd[] = {0, 1, 2, 3, 7, 1000, INT32_MAX, INT64_MAX - 1, INT64_MAX};

    return fx_dice(fx, 3) == 0 ? odd[fx_dice(fx, 9)] : (int64_t)fx_dice(fx, 6);
}

static int64_t within(const struct ph_field *field, int64_t value)
{
    return value < field->min ? field->min : value > field->max ? field->max : value;
}

static void a_name(struct fixture *fx, char *out)
{
    static const char *const names[] = {"n1", "n2", "n3", "web", "db", "mail", "nobody", "x"};

    snprintf(out, PH_NAME_BYTES_MAX + 1, "%s", names[fx_dice(fx, 8)]);
}

static void a_text(struct fixture *fx, const struct ph_field *field, char **member)
{
    static const char *const texts[] = {"n1-1", "n2-1", "manager-1", "12:00", "a", "tcp://x:1"};
    const char *text = texts[fx_dice(fx, 6)];

    if ((int64_t)strlen(text) <= field->max)
        assert_int_equal(ph_set_text(member, text), 0);
}

/* Fills a record with anything its description allows. */
static void fill(struct fixture *fx, const struct ph_record *record, void *value, int depth)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        void *member = (char *)value + field->offset;

        if ((field->flags & PH_REQ) == 0 && fx_dice(fx, 3) == 0)
            continue;
        switch (field->kind) {
        case PH_FIELD_NAME:
            a_name(fx, member);
            break;
        case PH_FIELD_TEXT:
            a_text(fx, field, member);
            break;
        case PH_FIELD_INT:
            *(int64_t *)member = within(field, a_number(fx));
            break;
        case PH_FIELD_BOOL:
            *(bool *)member = fx_dice(fx, 2) == 0;
            break;
        case PH_FIELD_ENUM:
            *(int *)member = (int)fx_dice(fx, (unsigned)field->enumeration->count);
            break;
        case PH_FIELD_TEXTS:
            if (fx_dice(fx, 2) == 0)
                assert_int_equal(ph_texts_add(member, fx_dice(fx, 2) ? "n1" : "directory"), 0);
            break;
        case PH_FIELD_JSON:
            break;
        case PH_FIELD_ONE:
            fill(fx, field->record, member, depth + 1);
            break;
        case PH_FIELD_MANY:
            for (unsigned n = depth < 2 ? fx_dice(fx, 4) : 0; n > 0; n--)
                fill(fx, field->record, ph_many_add(field->record, member), depth + 1);
            break;
        }
    }
}

static void throw_one(struct fixture *fx)
{
    static const enum ph_message_type said[] = {PH_MSG_HELLO, PH_MSG_BEAT, PH_MSG_REPORT,
        PH_MSG_COPY_REPORT, PH_MSG_LEAVING, PH_MSG_VOTE, PH_MSG_PROMISE, PH_MSG_REPORT,
        PH_MSG_BEAT};
    bool request = fx_dice(fx, 3) == 0;
    enum ph_message_type type =
        request ? (enum ph_message_type)(
                      PH_MSG_STATUS + (int)fx_dice(fx, PH_MSG_PROBLEM - PH_MSG_STATUS))
                : said[fx_dice(fx, 9)];
    const struct ph_record *record = ph_messages[type].record;
    void *body = calloc(1, record->size);
    char sender[PH_NAME_BYTES_MAX + 1];
    struct ph_event_in event = {.kind = request ? PH_EV_REQUEST : PH_EV_MESSAGE,
        .sender = sender,
        .role = PH_ROLE_ADMIN,
        .type = type,
        .request = fx->request};
    struct ph_error error = {0};
    char secret[] = "s", hash[] = "h";

    assert_non_null(body);
    fill(fx, record, body, 0);
    a_name(fx, sender);
    event.body = body;
    event.random_secret = secret;
    event.random_secret_hash = hash;
    if (ph_record_check(record, body, &error) == 0) {
        uint64_t before = fx->request;

        fx_step(fx, &event);
        if (request)
            assert_int_equal(fx->request, before + 1);
    }
    ph_record_destroy(record, &body);
}

static void anything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct fixture *fx = fx_new(3, seed);

        fx_seed_said = seed;
        fx->lawless = true;
        for (int i = 0; i < 3; i++)
            fx_declare(fx, pools[i], i % 3, "n1");
        for (int i = 0; i < 400; i++) {
            throw_one(fx);
            if (fx_dice(fx, 4) == 0)
                fx_run(fx, fx_dice(fx, 20) == 0 ? 2000 : 5);
            if (fx_dice(fx, 60) == 0) {
                fx_manager_stop(fx);
                fx_manager_start(fx);
            }
        }
        fx_free(fx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories),
        cmocka_unit_test(anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
