/*
 * How copies are looked after while their pool runs: whether they are fresh enough, and when each is compared
 * with the pool as a whole.
 *
 * A verification is a copy that trusts nothing (peer.verify in the order); the agents make anew what they
 * find wrong. One holder of a pool at a time. Its time is durable with the replica, so a job of kind verify is
 * done when every holder has been verified since it was asked for, also after a restart of the manager. Such a
 * job is not the pool's job: a move, a stop or a take-over does not wait for it.
 */
#include "manager/core/request.h"

#include <errno.h>
#include <string.h>

#include "proto/codec.h"

#define TRIES_MAX 3              /* of a holder, before it is given up */
#define RETRY_MS (3600u * 1000u) /* then one that was due by schedule is tried again */

/* ---- what is declared ---- */

/* Settings are JSON in the row; read when the declaration has changed, not with each report. */
static int64_t verify_interval_ms(struct ph_core *core, struct core_pool *pool)
{
    struct ph_pool_settings settings = {0};

    if (pool->settings_read && pool->settings_revision == pool->row.revision)
        return pool->verify_interval_s * 1000;
    if (pool->row.settings != NULL && ph_decode(&ph_record_pool_settings, pool->row.settings,
                                          strlen(pool->row.settings), &settings, NULL) == -ENOMEM)
        core->no_memory = true;
    pool->verify_interval_s = settings.verify_interval_s;
    pool->settings_revision = pool->row.revision;
    pool->settings_read = true;
    ph_record_fini(&ph_record_pool_settings, &settings);
    return pool->verify_interval_s * 1000;
}

static bool runs(const struct core_pool *pool)
{
    return pool->row.state == PH_POOL_ACTIVE && pool->row.node[0] != '\0';
}

static bool holds(const struct core_pool *pool, const struct core_peer *peer)
{
    return peer->chosen && peer->stored && strcmp(peer->row.node, pool->row.node) != 0;
}

/* ---- lag ---- */

int64_t core_pool_lag_ms(const struct ph_core *core, const struct core_pool *pool)
{
    int64_t lag_ms = -1;

    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;
        int64_t age_ms = core_copy_usable(peer) ? core_copy_age_ms(core, peer) : -1;

        if (age_ms >= 0 && (lag_ms < 0 || age_ms < lag_ms))
            lag_ms = age_ms;
    }
    return lag_ms;
}

const struct core_peer *core_pool_copy_error(const struct core_pool *pool)
{
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (holds(pool, peer) && peer->row.state != PH_REPLICA_COMPLETE &&
            core_text(peer->row.reason)[0] != '\0')
            return peer;
    }
    return NULL;
}

/* Says once that the copies have fallen behind, and once that they are back. UINT64_MAX, or when to look again. */
static uint64_t watch_lag(struct ph_core *core, struct core_pool *pool)
{
    struct core_about about = {.pool = pool};
    int64_t limit_ms = pool->row.max_data_loss_s * 1000;
    int64_t lag_ms = core_pool_lag_ms(core, pool);
    const struct core_peer *failing = core_pool_copy_error(pool);

    if (!runs(pool) || limit_ms == 0 || pool->row.copies == 0 || core_data_is_shared(&pool->row)) {
        pool->behind = false;
        return UINT64_MAX;
    }
    /* Without a copy it is as old as the pool's time on its node, as far as anybody knows. */
    bool none = lag_ms < 0;
    if (none && core->wall_ms > pool->row.since)
        lag_ms = core->wall_ms - pool->row.since;
    bool behind = lag_ms > limit_ms;
    if (behind && !pool->behind)
        core_event(core, PH_EVENT_WARNING, "copies-behind", &about,
            "%s of %s is %lld s old, and max_data_loss_s is %lld%s%s%s%s",
            none ? "no copy is complete, and the data" : "the freshest copy", pool->row.name,
            (long long)(lag_ms / 1000), (long long)pool->row.max_data_loss_s,
            failing == NULL ? "" : ": to ", failing == NULL ? "" : failing->row.node,
            failing == NULL ? "" : ": ", failing == NULL ? "" : core_text(failing->row.reason));
    else if (!behind && pool->behind)
        core_event(core, PH_EVENT_INFO, "copies-in-time", &about,
            "the freshest copy of %s is %lld s old again, and max_data_loss_s is %lld",
            pool->row.name, (long long)(lag_ms / 1000), (long long)pool->row.max_data_loss_s);
    pool->behind = behind;
    return behind ? UINT64_MAX : core->now_ms + (uint64_t)(limit_ms - lag_ms) + 1;
}

/* ---- verification ---- */

static bool under_way(const struct core_peer *peer)
{
    return peer->verify > peer->verify_done;
}

static bool may_verify(const struct core_pool *pool, const struct core_peer *peer)
{
    return holds(pool, peer) && core_copy_usable(peer) && peer->node->row.state == PH_NODE_ONLINE;
}

static void ask(struct ph_core *core, struct core_pool *pool, struct core_peer *peer)
{
    peer->verify = core_next_urgent(core);
    peer->verify_failures = 0;
    peer->spoilt_found = 0;
    core_pool_dirty(core, pool); /* the owner's order says so */
}

/* When the copy is due by the declaration; UINT64_MAX: never. */
static uint64_t due_ms(const struct ph_core *core, const struct core_pool *pool,
    const struct core_peer *peer, int64_t interval_ms)
{
    int64_t since = peer->row.verified_at > 0 ? peer->row.verified_at : pool->row.since;
    int64_t age_ms = core->wall_ms > since ? core->wall_ms - since : 0;

    if (interval_ms == 0)
        return UINT64_MAX;
    return age_ms >= interval_ms ? core->now_ms : core->now_ms + (uint64_t)(interval_ms - age_ms);
}

/* Asks for the next verification of one holder when none is under way. */
static uint64_t watch_schedule(struct ph_core *core, struct core_pool *pool)
{
    int64_t interval_ms = verify_interval_ms(core, pool);
    uint64_t next_ms = UINT64_MAX;

    if (!runs(pool) || pool->job != NULL)
        return next_ms;
    for (size_t i = 0; i < pool->peers.count; i++) {
        struct core_peer *peer = pool->peers.items[i].value;
        if (!holds(pool, peer))
            peer->verify_done = peer->verify; /* it keeps no copy any more */
        else if (under_way(peer))
            return next_ms; /* looked at again when that has ended */
    }
    for (size_t i = 0; i < pool->peers.count; i++) {
        struct core_peer *peer = pool->peers.items[i].value;
        if (!may_verify(pool, peer))
            continue;
        bool asked = pool->verify != NULL && peer->row.verified_at < pool->verify->row.created_at;
        uint64_t at_ms = asked ? core->now_ms : due_ms(core, pool, peer, interval_ms);
        if (!asked && at_ms != UINT64_MAX && at_ms < peer->verify_retry_ms)
            at_ms = peer->verify_retry_ms;
        if (at_ms <= core->now_ms) {
            ask(core, pool, peer);
            return UINT64_MAX;
        }
        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    return next_ms;
}

void core_verify_stop(struct core_pool *pool)
{
    for (size_t i = 0; i < pool->peers.count; i++) {
        struct core_peer *peer = pool->peers.items[i].value;
        peer->verify_done = peer->verify;
    }
}

/* Ends the job when there is nothing left to compare, or no use in going on. */
static void job_step(struct ph_core *core, struct core_pool *pool)
{
    struct core_job *job = pool->verify;
    int64_t todo = 0, done = 0, spoilt = 0;
    const struct core_peer *now = NULL;

    if (strcmp(job->row.node, pool->row.node) != 0) {
        core_verify_stop(pool);
        core_job_end(core, job, PH_JOB_FAILED, "%s is no longer on %s; ask again when it runs",
            pool->row.name, job->row.node);
        return;
    }
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (!holds(pool, peer))
            continue;
        if (peer->row.verified_at >= job->row.created_at && !under_way(peer)) {
            done++;
            spoilt += peer->row.spoilt;
            continue;
        }
        todo++;
        now = now == NULL || under_way(peer) ? peer : now;
    }
    if (todo == 0) {
        core_job_end(core, job, PH_JOB_SUCCEEDED,
            spoilt > 0 ? "%lld copies compared; %lld wrong in them, made anew"
                       : "%lld copies compared, all as they should be",
            (long long)done, (long long)spoilt);
        return;
    }
    core_job_set_state(core, job, PH_JOB_RUNNING);
    core_job_progress(core, job, done * 100 / (done + todo));
    if (now->verify_failures >= TRIES_MAX) {
        core_verify_stop(pool);
        core_job_end(core, job, PH_JOB_FAILED, "the copy on %s could not be compared: %s",
            now->row.node, core_text(now->row.reason));
        return;
    }
    if (under_way(now))
        core_job_step(core, job, "the copy on %s to be compared", now->row.node);
    else if (now->node->row.state != PH_NODE_ONLINE)
        core_job_wait(core, job, "%s to come back", now->row.node);
    else
        core_job_wait(core, job, "a complete copy on %s", now->row.node);
}

void core_copies_watch(struct ph_core *core, struct core_pool *pool)
{
    uint64_t lag_ms = watch_lag(core, pool), verify_ms;

    if (pool->verify != NULL)
        job_step(core, pool);
    verify_ms = watch_schedule(core, pool);
    if (lag_ms == UINT64_MAX && verify_ms == UINT64_MAX)
        core_timer_clear(core, &pool->care);
    else
        core_timer_set(core, &pool->care, lag_ms < verify_ms ? lag_ms : verify_ms);
}

/* ---- what agents say ---- */

void core_copy_verified(
    struct ph_core *core, struct core_peer *peer, const struct ph_copy_report *report)
{
    struct core_about about = {.pool = peer->pool, .node = peer->node};

    if (report->verified <= peer->verify_done || report->verified > peer->verify)
        return;
    int64_t before = peer->spoilt_found;
    peer->verify_done = report->verified;
    peer->verify_failures = 0;
    peer->spoilt_found = 0;
    peer->row.verified_at = core->wall_ms;
    peer->row.spoilt = report->spoilt + before;
    if (report->spoilt > 0)
        core_event(core, PH_EVENT_WARNING, "copy-corrupt", &about,
            "%lld files or blocks of the copy of %s on %s were not what they should be, and were "
            "made anew: look at the disk of %s",
            (long long)report->spoilt, peer->row.pool, peer->row.node, peer->row.node);
    else
        core_event(core, PH_EVENT_INFO, "copy-verified", &about, "the copy of %s on %s is %s",
            peer->row.pool, peer->row.node, before > 0 ? "whole again" : "as it should be");
    core_peer_touch(core, peer);
}

void core_copy_unverified(
    struct ph_core *core, struct core_peer *peer, const struct ph_copy_report *report)
{
    struct core_about about = {.pool = peer->pool, .node = peer->node};

    if (!under_way(peer))
        return;
    peer->verify_failures++;
    if (peer->verify_failures >= TRIES_MAX && peer->pool->verify == NULL) {
        /* Nobody waits for it, and until it ends the holder gets no newer copy. */
        peer->verify_done = peer->verify;
        peer->verify_retry_ms = core->now_ms + RETRY_MS;
        core_pool_dirty(core, peer->pool);
    }
    if (report->spoilt == 0)
        return;
    if (peer->spoilt_found == 0)
        core_event(core, PH_EVENT_WARNING, "copy-corrupt", &about,
            "the copy of %s on %s is not what it should be; it does not count, and is made anew: "
            "look at the disk of %s",
            peer->row.pool, peer->row.node, peer->row.node);
    peer->spoilt_found = report->spoilt;
    /* epoch and sequence stay: what the holder says of just this point is not believed again. */
    peer->row.state = PH_REPLICA_SEEDING;
    core_peer_touch(core, peer);
}

/* ---- asked ---- */

int ph_request_pool_verify(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    struct core_pool *pool = core_find_pool(core, asked->name);
    bool any = false;

    if (pool == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no pool %s", asked->name);
    if (core_data_is_shared(&pool->row))
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "%s is of the driver %s, which makes no copies", asked->name, pool->row.driver);
    if (!runs(pool))
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "%s is not active: its copies are compared with it while it runs", asked->name);
    for (size_t i = 0; i < pool->peers.count; i++)
        any |= holds(pool, pool->peers.items[i].value);
    if (!any)
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "no node keeps a copy of %s yet (poolherd pool show %s)", asked->name, asked->name);
    if (pool->verify == NULL) {
        core_command(core, in, &(struct core_about){.pool = pool}, "verify %s", asked->name);
        core_job_new(core, PH_JOB_VERIFY, pool, core_find_node(core, pool->row.node), in->sender);
    }
    core_answer_done(core, in, pool->verify == NULL ? 0 : pool->verify->row.id,
        "the copies of %s are compared, one after another", asked->name);
    core_pool_dirty(core, pool);
    return 0;
}
