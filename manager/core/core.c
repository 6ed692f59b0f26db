/*
 * The core's life: made, loaded with the inventory, ready, and then one step per event.
 */
#include "manager/core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URGENT_PER_TERM ((int64_t)1 << 24)

void ph_core_config_default(struct ph_core_config *config)
{
    *config = (struct ph_core_config){.silent_share_percent = 50,
        .quarantine_failures = 3,
        .quarantine_window_ms = 3600 * 1000,
        .quarantine_ms = 3600 * 1000,
        .activation_attempts = 3,
        .retry_ms = 1000,
        .moves_parallel = 4,
        .takeovers_per_node = 8,
        .fence_test_ms = 3600 * 1000,
        .diverged_keep_ms = (uint64_t)30 * 86400 * 1000};
    ph_timing_profile("default", &config->timing);
}

int ph_core_new(const struct ph_core_config *config, int64_t term, const char *manager_id,
    const char *cluster_id, struct ph_core **core_out)
{
    struct ph_core *core = calloc(1, sizeof *core);

    if (core == NULL)
        return -ENOMEM;
    core->config = *config;
    core->takeover_ms = ph_timing_takeover_ms(&config->timing);
    core->term = term;
    core->urgent = term * URGENT_PER_TERM;
    ph_text_format(core->manager_id, sizeof core->manager_id, "%s", manager_id);
    ph_text_format(core->cluster_id, sizeof core->cluster_id, "%s", cluster_id);
    core_timer_init(core, &core->brake, CORE_TIMER_BRAKE, NULL);
    core_timer_init(core, &core->look, CORE_TIMER_LOOK, NULL);
    core_picture_cluster(core);
    *core_out = core;
    return 0;
}

void ph_core_destroy(struct ph_core **core_pointer)
{
    struct ph_core *core = *core_pointer;

    if (core == NULL)
        return;
    core_jobs_fini(core);
    for (size_t i = 0; i < core->pools.count; i++)
        core_pool_free(core, core->pools.items[i].value);
    for (size_t i = 0; i < core->nodes.count; i++)
        core_node_free(core, core->nodes.items[i].value);
    for (size_t i = 0; i < core->metas.count; i++) {
        ph_record_fini(&ph_record_meta, core->metas.items[i].value);
        free(core->metas.items[i].value);
    }
    core_identities_fini(core);
    ph_map_fini(&core->nodes);
    ph_map_fini(&core->pools);
    ph_map_fini(&core->metas);
    ph_place_relations_fini(&core->relations);
    ph_map_fini(&core->targets);
    ph_effects_fini(&core->later);
    free(core->timers.items);
    free(core->picture);
    free(core->dirty);
    free(core->orders);
    free(core->wanting);
    free(core->touched);
    free(core->lost_ms);
    free(core->voters_due);
    free(core);
    *core_pointer = NULL;
}

/* ---- loading ---- */
static int load_node(struct ph_core *core, const struct ph_node *row)
{
    struct core_node *node = core_node_make(core, row->name);

    if (node == NULL || ph_record_copy(&ph_record_node, &node->row, row) != 0)
        return -ENOMEM;
    core_node_count(core, node, true);
    core_picture_node(core, node);
    return 0;
}

static int load_pool(struct ph_core *core, const struct ph_pool *row, struct ph_error *error)
{
    struct core_node *node = core_find_node(core, row->node);
    struct core_node *home = core_find_node(core, row->home);
    struct core_pool *pool;

    if (row->node[0] != '\0' && node == NULL)
        return ph_error_set(error, PH_BAD_INPUT, "node",
            "pool %s is on node %s, which is not there", row->name, row->node);
    pool = core_pool_make(core, row->name);
    if (pool == NULL || ph_record_copy(&ph_record_pool, &pool->row, row) != 0 ||
        ph_place_relate(&core->relations, &pool->row) != 0)
        return -ENOMEM;
    if ((node != NULL && core_peer_make(core, pool, node) == NULL) ||
        (home != NULL && core_peer_make(core, pool, home) == NULL))
        return -ENOMEM;
    return 0;
}

static int load_vm(struct ph_core *core, const struct ph_vm *row, struct ph_error *error)
{
    struct core_pool *pool = core_find_pool(core, row->pool);
    struct core_vm *vms;
    size_t index;

    if (pool == NULL)
        return ph_error_set(error, PH_BAD_INPUT, "pool",
            "VM %s belongs to pool %s, which is not there", row->name, row->pool);
    if (pool->vm_count >= PH_VMS_PER_POOL_MAX)
        return ph_error_set(error, PH_BAD_INPUT, "pool", "pool %s has more than %d VMs", row->pool,
            PH_VMS_PER_POOL_MAX);
    vms = realloc(pool->vms, (pool->vm_count + 1) * sizeof *vms);
    if (vms == NULL)
        return -ENOMEM;
    pool->vms = vms;
    for (index = pool->vm_count; index > 0 && vms[index - 1].row.position > row->position; index--)
        vms[index] = vms[index - 1];
    vms[index] = (struct core_vm){0};
    pool->vm_count++;
    return ph_record_copy(&ph_record_vm, &vms[index].row, row);
}

static int load_replica(struct ph_core *core, const struct ph_replica *row, struct ph_error *error)
{
    struct core_pool *pool = core_find_pool(core, row->pool);
    struct core_node *node = core_find_node(core, row->node);
    struct core_peer *peer;

    if (pool == NULL || node == NULL)
        return ph_error_set(error, PH_BAD_INPUT, pool == NULL ? "pool" : "node",
            "the copy of pool %s on node %s: one of them is not there", row->pool, row->node);
    peer = core_peer_make(core, pool, node);
    if (peer == NULL || ph_record_copy(&ph_record_replica, &peer->row, row) != 0)
        return -ENOMEM;
    peer->stored = true;
    return 0;
}

static int load_meta(struct ph_core *core, const struct ph_meta *row)
{
    struct ph_meta *meta = ph_record_new_copy(&ph_record_meta, row);

    if (meta == NULL)
        return -ENOMEM;
    if (ph_map_put(&core->metas, meta->key, meta) != 0) {
        void *owned = meta;

        ph_record_destroy(&ph_record_meta, &owned);
        return -ENOMEM;
    }
    return 0;
}

static bool loaded_before(
    const struct ph_core *core, const struct ph_record *record, const char *name)
{
    return (record == &ph_record_node && core_find_node(core, name) != NULL) ||
           (record == &ph_record_pool && core_find_pool(core, name) != NULL) ||
           (record == &ph_record_meta && ph_map_get(&core->metas, name) != NULL);
}

int ph_core_load(
    struct ph_core *core, const struct ph_record *record, const void *row, struct ph_error *error)
{
    int rv = ph_record_check(record, row, error);

    if (rv != 0)
        return rv;
    /* A record's key comes first. */
    if ((record == &ph_record_node || record == &ph_record_pool || record == &ph_record_meta) &&
        loaded_before(core, record, row))
        return ph_error_set(error, PH_BAD_INPUT, record->fields[0].name, "%s %s is there twice",
            record->name, (const char *)row);
    if (record == &ph_record_node)
        rv = load_node(core, row);
    else if (record == &ph_record_voter_set)
        rv = core_voters_load(core, row, error);
    else if (record == &ph_record_pool)
        rv = load_pool(core, row, error);
    else if (record == &ph_record_vm)
        rv = load_vm(core, row, error);
    else if (record == &ph_record_replica)
        rv = load_replica(core, row, error);
    else if (record == &ph_record_fence_device)
        rv = core_device_load(core, row, error);
    else if (record == &ph_record_identity)
        rv = core_identity_load(core, row, error);
    else if (record == &ph_record_job)
        rv = core_job_load(core, row, error);
    else if (record == &ph_record_meta)
        rv = load_meta(core, row);
    else
        rv = ph_error_set(error, PH_BAD_INPUT, NULL, "the core keeps no %s", record->name);
    return rv == 0 && core->no_memory ? -ENOMEM : rv;
}

/* ---- getting ready ---- */
static int64_t meta_number(const struct ph_core *core, const char *key)
{
    const char *text = core_meta_get(core, key);
    int64_t value = 0;

    for (; *text >= '0' && *text <= '9' && value < INT64_MAX / 16; text++)
        value = value * 10 + (*text - '0');
    return value;
}

/* The quiet start: our predecessor may have sent every node it granted a grant a moment ago, by its
 * own timing. */
static void ready_node(struct ph_core *core, struct core_node *node)
{
    node->takeover_ms = core_node_told_wait_ms(core, node);
    core_node_decay_arm(core, node);
    node->taken_ms = core->now_ms;
    if (!node->row.granting) {
        core_fence_ready(core, node);
        return;
    }
    node->granted = true;
    node->granted_ms = node->beat_ms = node->silent_ms = core->now_ms;
    node->dead_ms = node->settled_ms = core->now_ms + node->takeover_ms;
    core_timer_set(core, &node->lease, core->now_ms + core->config.timing.lease_ms);
    core_fence_ready(core, node);
}

static void ready_job(struct ph_core *core, struct core_job *job)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);
    struct core_node *target = core_find_node(core, job->row.target);
    int64_t left_ms;

    if (core_job_ended(job))
        return;
    if (job->row.kind == PH_JOB_MOVE)
        core_job_target(core, job, job->row.target);
    if (job->row.kind == PH_JOB_TAKEOVER && job->row.phase == PH_PHASE_ACTIVATING &&
        target != NULL) {
        job->slot = true;
        target->takeovers++;
    }
    if (job->row.kind == PH_JOB_FENCE)
        core_fence_resume(core, job);
    if (job->row.deadline_at != 0) {
        left_ms = job->row.deadline_at - core->wall_ms;
        core_timer_set(core, &job->timer, core->now_ms + (left_ms > 0 ? (uint64_t)left_ms : 0));
    }
    if (pool == NULL && job->row.pool[0] != '\0')
        core_job_end(core, job, PH_JOB_FAILED, "the pool is gone");
}

int ph_core_ready(struct ph_core *core, uint64_t now_ms, int64_t wall_ms, int64_t last_event_id,
    int64_t last_job_id, struct ph_effects *effects)
{
    core->effects = effects;
    core->now_ms = core->started_ms = now_ms;
    core->wall_ms = wall_ms;
    core->last_event_id = last_event_id;
    core->last_job_id = last_job_id;
    core->paused = core_meta_get(core, "paused")[0] != '\0';
    core->epoch_floor = meta_number(core, "epoch_floor");
    core->told_takeover_ms = (uint64_t)meta_number(core, "takeover_ms");
    for (size_t i = 0; i < core->nodes.count; i++)
        ready_node(core, core->nodes.items[i].value);
    core_told(core);
    if (core_meta_get(core, PH_META_VOTERS_UNKNOWN)[0] != '\0')
        core_operations_restored(core);
    core_voters_ready(core);
    core->ready = true;
    for (size_t i = 0; i < core->job_count; i++)
        ready_job(core, core->jobs[i]);
    for (size_t i = 0; i < core->nodes.count; i++) {
        struct core_node *node = core->nodes.items[i].value;

        if (node->row.admin == PH_ADMIN_DRAINING && node->drain == NULL)
            core_node_admin(core, node, PH_ADMIN_ACTIVE, "its drain has no job any more");
    }
    for (size_t i = 0; i < core->pools.count; i++) {
        struct core_pool *pool = core->pools.items[i].value;

        core_account(core, pool);
        core_pool_dirty(core, pool);
    }
    core_settle(core);
    core_flush(core);
    return core->no_memory ? -ENOMEM : 0;
}

/* ---- timing that was told ---- */
static void told_save(struct ph_core *core, uint64_t takeover_ms)
{
    char text[24];

    core->told_takeover_ms = takeover_ms;
    ph_text_format(text, sizeof text, "%llu", (unsigned long long)takeover_ms);
    core_meta_set(core, "takeover_ms", text);
}

/* Longer times count from now on; shorter ones when nobody can go by the longer any more. */
void core_told(struct ph_core *core)
{
    if (core->takeover_ms > core->told_takeover_ms)
        told_save(core, core->takeover_ms);
    else if (core->takeover_ms < core->told_takeover_ms)
        core_timer_set(core, &core->brake, core->now_ms + 4 * core->told_takeover_ms);
}

void core_told_due(struct ph_core *core)
{
    uint64_t longest_ms = core->takeover_ms;

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;

        if (node->row.granting && node->takeover_ms > core_node_wait_ms(core, node))
            longest_ms = core->told_takeover_ms; /* it may still go by what it was told before */
    }
    if (longest_ms < core->told_takeover_ms)
        told_save(core, longest_ms);
    core_told(core);
}

static void new_config(struct ph_core *core, const struct ph_core_config *config)
{
    bool timing =
        memcmp(&config->timing.beat_ms, &core->config.timing.beat_ms, 3 * sizeof(uint64_t)) != 0;

    core->config = *config;
    core->takeover_ms = ph_timing_takeover_ms(&config->timing);
    core_told(core);
    core->attention = true;
    for (size_t i = 0; timing && i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;

        if (node->present && node->row.granting)
            core_node_say_hello(core, node);
    }
}

/* ---- steps ---- */
static void tick(struct ph_core *core)
{
    struct core_timer *timer;

    while ((timer = core_timer_due(core, core->now_ms)) != NULL) {
        switch (timer->kind) {
        case CORE_TIMER_NODE:
            core_node_lease_due(core, timer->owner);
            break;
        case CORE_TIMER_DECAY:
            core_node_decay_due(core, timer->owner);
            break;
        case CORE_TIMER_ORDER:
            core_order_due(core, timer->owner);
            break;
        case CORE_TIMER_POOL:
            core_pool_due(core, timer->owner);
            break;
        case CORE_TIMER_JOB:
            core_job_due(core, timer->owner);
            break;
        case CORE_TIMER_BRAKE:
            core_told_due(core);
            break;
        case CORE_TIMER_FENCE:
            core_fence_due(core, timer->owner);
            break;
        case CORE_TIMER_DIVERGED:
            core_diverged_due(core, timer->owner);
            break;
        case CORE_TIMER_LOOK:
            break; /* settling goes on where it was */
        }
    }
}

static void message(struct ph_core *core, const struct ph_event_in *in)
{
    if (in->type == PH_MSG_BEAT)
        core_node_beat(core, in);
    else if (in->type == PH_MSG_REPORT)
        core_report(core, in);
    else if (in->type == PH_MSG_COPY_REPORT)
        core_copy_report(core, in);
    else if (in->type == PH_MSG_HELLO)
        core_node_hello(core, in);
    else if (in->type == PH_MSG_LEAVING)
        core_node_leaving(core, in);
    else if (in->type == PH_MSG_FENCE_RAN)
        core_fence_ran(core, in->sender, in->body);
    else if (in->type == PH_MSG_DIVERGED_LIST)
        core_diverged_said(core, in);
    else if (in->type == PH_MSG_VOTER_OK)
        core_voters_ok(core, in);
    else if (in->type == PH_MSG_PROMISE)
        core_promise(core, in);
    else if (in->type == PH_MSG_RELAY)
        core_relay(core, in);
}

/* A manager that knows it is behind changes nothing, whoever asks. */
static int request(struct ph_core *core, const struct ph_event_in *in)
{
    if (core->outdated && ph_messages[in->type].role != PH_ROLE_VIEWER)
        return core_problem(core, in, PH_STATE_FORBIDS, NULL, "%s", core_pause_reason(core));
    return ph_request_handle(core, in);
}

static void effects_cut(struct ph_effects *effects, size_t count)
{
    struct ph_effects rest = {effects->count - count, 0, &effects->items[count]};

    ph_effects_clear(&rest);
    effects->count = count;
}

int ph_core_step(struct ph_core *core, const struct ph_event_in *event, struct ph_effects *effects)
{
    size_t before = effects->count;
    int rv = 0;

    core->effects = effects;
    if (event->now_ms > core->now_ms)
        core->now_ms = event->now_ms;
    core->wall_ms = event->wall_ms;
    switch (event->kind) {
    case PH_EV_TICK:
        tick(core);
        break;
    case PH_EV_MESSAGE:
        message(core, event);
        break;
    case PH_EV_REQUEST:
        rv = request(core, event);
        break;
    case PH_EV_FENCE_DONE:
        core_fence_ran(core, "manager", event->body);
        break;
    case PH_EV_CONFIG:
        new_config(core, event->config);
        break;
    }
    if (rv != 0)
        core->no_memory = true;
    core_settle(core);
    core_voters_settle(core);
    core_flush(core);
    core_jobs_trim(core);
    if (core->no_memory && effects->count > before)
        effects_cut(effects, before);
    return core->no_memory ? -ENOMEM : 0;
}

uint64_t ph_core_next_deadline_ms(const struct ph_core *core)
{
    return core->timers.count == 0 ? UINT64_MAX : core->timers.items[0]->at_ms;
}
