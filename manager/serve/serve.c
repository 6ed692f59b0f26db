/*
 * The loop.
 */
#include "manager/serve/manager.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>
#include "base/notify.h"

#define MESSAGES_PER_ROUND 1000
/* Waiting messages are read before a tick may call their senders silent; but not for longer than this,
 * lest a flood of them stop the clock. */
#define TICK_LATE_MS 500
/* A loop that looks again so much later than it meant to was stopped, and ZeroMQ's threads with it: they
 * need a moment to hand over what has come meanwhile. Not one after the other: the clock goes on. */
#define AWAY_MS 200
#define HAND_OVER_MS 200
#define HAND_OVER_MS_MAX 1000
#define IDLE_MS 1000
#define BLOCKED_MS 5

static int fail(const struct ph_error *error)
{
    fprintf(stderr, "poolherd-manager: %s\n",
        error->message[0] != '\0' ? error->message : "failed for an unknown reason");
    return error->code == PH_BAD_INPUT ? 2 : 1;
}

/* Any key may come in, but one that is in no inventory only as a stranger: to present an invitation. */
static bool key_known(void *context, const char *public_key)
{
    const struct serve_manager *manager = context;
    const struct ph_identity *identity = ph_core_identity_by_key(manager->core, public_key);

    return identity != NULL && !identity->revoked;
}

/* A free port is looked for once; later starts come back to the same one, since agents know it. */
static int listen_on(struct serve_manager *manager, const char *listen, struct ph_error *error)
{
    struct ph_wire_server_config config = {.listen = listen,
        .public_key = manager->house.manager.public_key,
        .secret_key = manager->house.manager.secret_key,
        .expected = (uint32_t)manager->settings.file.agents_expected,
        .known = key_known,
        .context = manager};
    const char *before = manager->house.endpoint;
    const char *star = strrchr(listen, ':');
    const char *colon = strrchr(before, ':');

    if (star != NULL && strcmp(star, ":*") == 0 && colon != NULL &&
        colon - before == star - listen && strncmp(before, listen, (size_t)(star - listen)) == 0) {
        config.listen = before;
        if (ph_wire_server_new(&config, &manager->wire, error) == 0) {
            return 0;
        }
        ph_log(PH_LOG_WARNING, "new_port", "before=%s text=%s", before,
            "it is taken: agents that know the old one will not find this manager");
        config.listen = listen;
    }
    return ph_wire_server_new(&config, &manager->wire, error);
}

static int start(struct serve_manager *manager, struct ph_error *error)
{
    int rv = serve_settings_read(&manager->options, &manager->settings, error);

    if (rv != 0) {
        return rv;
    }
    ph_log_init("poolherd-manager", manager->settings.log_level);
    umask(077);
    rv = serve_wakeup_init(&manager->wakeup);
    if (rv != 0) {
        return ph_error_set(error, PH_FAILED, NULL, "cannot make a pipe: %s", strerror(-rv));
    }
    rv = serve_house_open(manager->options.directory, &manager->house, error);
    if (rv == 0) {
        rv = listen_on(manager, manager->settings.file.listen, error); /* before the term grows */
    }
    if (rv == 0) {
        rv = serve_boot(manager, error);
    }
    if (rv == 0) {
        rv = serve_house_announce(&manager->house, ph_wire_server_endpoint(manager->wire), error);
    }
    if (rv == 0) {
        rv = serve_workers_new(
            manager->house.database, manager->store, &manager->wakeup, &manager->workers);
        if (rv == 0) {
            rv = serve_fencer_new(&manager->wakeup, &manager->fencer);
        }
        if (rv != 0) {
            ph_error_set(error, PH_FAILED, NULL, "cannot start threads: %s", strerror(-rv));
        }
    }
    return rv;
}

/* What the writer has done. false: a batch was not stored, and the core is ahead of the inventory. */
static bool commits_follow(struct serve_manager *manager)
{
    char message[PH_TEXT_BYTES_MAX + 1], reason[PH_TEXT_BYTES_MAX + 128];
    enum ph_store_result result = PH_STORE_OK;
    static const char *const words[] = {"ok", "constraint", "not_active", "unavailable", "unknown"};

    if (serve_commits_look(&manager->commits, &manager->durable, &result, message)) {
        return true;
    }
    serve_deliver(manager); /* what stood before it is good */
    ph_log(PH_LOG_ERROR, "commit_failed", "result=%s term=%lld text=%s", words[result],
        (long long)manager->term, message);
    ph_text_format(reason, sizeof reason, "%s: %s",
        result == PH_STORE_UNKNOWN ? "it is not known whether this was stored"
                                   : "this was not done, because it could not be stored",
        message);
    serve_refuse_all(manager, reason);
    return false;
}

/* Reads what waits. Whether nothing is left. */
static bool drain(struct serve_manager *manager)
{
    struct ph_wire_message raw;
    size_t i;

    ph_wire_server_zap(manager->wire);
    for (i = 0; i < MESSAGES_PER_ROUND; i++) {
        if (ph_wire_server_receive(manager->wire, &raw) != 0) {
            break;
        }
        serve_now_ms(manager);
        serve_intake(manager, &raw);
    }
    serve_pace_count(&manager->pace, i, manager->now_ms);
    return i < MESSAGES_PER_ROUND;
}

static long wait_ms(struct serve_manager *manager, bool drained, bool blocked)
{
    uint64_t now_ms = serve_now_ms(manager);
    uint64_t due_ms = ph_core_next_deadline_ms(manager->core);
    uint64_t wait = IDLE_MS;

    if (!drained) {
        return 0;
    }
    if (now_ms < manager->hand_over_ms) {
        return BLOCKED_MS;
    }
    if (due_ms <= now_ms) {
        return 0;
    }
    wait = due_ms - now_ms < wait ? due_ms - now_ms : wait;
    return blocked && wait > BLOCKED_MS ? BLOCKED_MS : (long)wait;
}

/* Lets beats gather (pace.h), when there is nothing else to do. */
static void rest(struct serve_manager *manager, long wait)
{
    struct pollfd wakeup = {.fd = manager->wakeup.read_fd, .events = POLLIN};
    uint64_t rest_ms = serve_pace_rest_ms(&manager->pace, manager->settings.core.timing.beat_ms);

    if (rest_ms > 0 && wait > 0 && manager->outbox.count == 0 && manager->requests.count == 0 &&
        manager->submitted == manager->durable &&
        (manager->batch == NULL || ph_batch_empty(manager->batch))) {
        (void)poll(&wakeup, 1, wait < (long)rest_ms ? (int)wait : (int)rest_ms);
    }
}

static void dropped_log(struct serve_manager *manager)
{
    uint64_t dropped = ph_wire_server_dropped(manager->wire);
    unsigned kept;

    if (dropped != manager->dropped &&
        serve_quiet_pass(&manager->quiet_malformed, manager->now_ms, &kept)) {
        ph_log(PH_LOG_WARNING, "dropped", "messages=%llu text=%s",
            (unsigned long long)(dropped - manager->dropped),
            "too many frames, no content, or a routing id of the peer's own");
        manager->dropped = dropped;
    }
}

static void hand_over_give(struct serve_manager *manager, bool drained, uint64_t meant_ms)
{
    uint64_t now_ms = serve_now_ms(manager);

    if (drained && now_ms > meant_ms + AWAY_MS && now_ms > manager->hand_over_ms + IDLE_MS) {
        uint64_t more_ms = (now_ms - meant_ms) / 4; /* the longer, the more waits */

        more_ms = more_ms < HAND_OVER_MS_MAX ? more_ms : HAND_OVER_MS_MAX;
        manager->hand_over_ms = now_ms + (more_ms > HAND_OVER_MS ? more_ms : HAND_OVER_MS);
    }
}

/* Whether anybody may be called silent now. */
static bool tick_allowed(struct serve_manager *manager, bool drained, uint64_t ticked_ms)
{
    uint64_t now_ms = serve_now_ms(manager);

    return now_ms >= manager->hand_over_ms && (drained || now_ms - ticked_ms > TICK_LATE_MS);
}

static int loop(struct serve_manager *manager)
{
    zmq_pollitem_t items[] = {
        {ph_wire_server_socket(manager->wire), 0, ZMQ_POLLIN, 0},
        {ph_wire_server_zap_socket(manager->wire), 0, ZMQ_POLLIN, 0},
        {NULL, manager->wakeup.read_fd, ZMQ_POLLIN, 0},
    };
    struct ph_event_in tick = {.kind = PH_EV_TICK};
    bool drained = true, blocked = false;
    uint64_t ticked_ms = serve_now_ms(manager), looked_ms = ticked_ms;

    while (!serve_signal_stop()) {
        long wait = wait_ms(manager, drained, blocked);

        rest(manager, wait);
        if (zmq_poll(items, 3, wait_ms(manager, drained, blocked)) < 0 && zmq_errno() != EINTR) {
            ph_log(PH_LOG_ERROR, "poll_failed", "text=%s", zmq_strerror(zmq_errno()));
            return 1;
        }
        hand_over_give(manager, drained, looked_ms + (uint64_t)wait);
        looked_ms = manager->now_ms;
        serve_wakeup_clear(&manager->wakeup);
        if (serve_signal_reload()) {
            serve_reload(manager);
        }
        if (!commits_follow(manager)) {
            return 1;
        }
        drained = drain(manager);
        blocked = serve_collect(manager);
        serve_fenced(manager);
        if (tick_allowed(manager, drained, ticked_ms)) {
            ticked_ms = serve_now_ms(manager);
            if (ph_core_next_deadline_ms(manager->core) <= ticked_ms) {
                tick.kind = PH_EV_TICK;
                serve_step(manager, &tick);
            }
        }
        serve_submit(manager);
        serve_deliver(manager);
        dropped_log(manager);
        serve_trim(manager);
        if (manager->failed) {
            ph_log(PH_LOG_ERROR, "core_failed", "text=%s", "out of memory: ending, to load anew");
            return 1;
        }
    }
    return 0;
}

/* Nothing new is taken in; what was decided is stored, and who waits for it is told. */
static int finish(struct serve_manager *manager, int status)
{
    ph_notify("STOPPING=1");
    if (status == 0) {
        while (manager->batch != NULL && !ph_batch_empty(manager->batch)) {
            ph_store_flush(manager->store);
            if (!commits_follow(manager)) {
                return 1;
            }
            serve_submit(manager);
        }
        ph_store_flush(manager->store);
        if (!commits_follow(manager)) {
            return 1;
        }
        serve_deliver(manager);
        ph_log(PH_LOG_NOTICE, "stopped", "term=%lld", (long long)manager->term);
    }
    return status;
}

static void destroy(struct serve_manager *manager)
{
    size_t i;

    ph_wire_server_destroy(&manager->wire);
    while (manager->blocked != NULL) {
        struct serve_result *result = manager->blocked;

        manager->blocked = result->next;
        serve_result_done(manager->workers, &result);
    }
    if (!serve_fencer_destroy(&manager->fencer) || !serve_workers_destroy(&manager->workers)) {
        return; /* all is stored (finish()); the process ends with the query, or without the agent */
    }
    ph_batch_destroy(&manager->batch);
    ph_store_destroy(&manager->store);
    ph_core_destroy(&manager->core);
    ph_effects_fini(&manager->effects);
    serve_outbox_fini(&manager->outbox);
    serve_requests_fini(&manager->requests);
    for (i = 0; i < manager->peers.count; i++) {
        free(manager->peers.items[i].value);
    }
    ph_map_fini(&manager->peers);
    serve_house_close(&manager->house);
    serve_settings_fini(&manager->settings);
    serve_wakeup_fini(&manager->wakeup);
    serve_commits_fini(&manager->commits);
    free(manager);
}

int ph_serve(const struct ph_serve_options *options)
{
    struct serve_manager *manager = calloc(1, sizeof *manager);
    struct ph_error error = {0};
    int status;

    if (manager == NULL) {
        fprintf(stderr, "poolherd-manager: out of memory\n");
        return 1;
    }
    manager->options = *options;
    serve_commits_init(&manager->commits, &manager->wakeup);
    manager->wakeup.read_fd = manager->wakeup.write_fd = -1;
    manager->house.lock_fd = -1;
    if (start(manager, &error) != 0) {
        status = fail(&error);
    } else {
        serve_effects(manager); /* of ph_core_ready() */
        ph_log(PH_LOG_NOTICE, "ready", "endpoint=%s term=%lld manager=%s cluster=%s",
            ph_wire_server_endpoint(manager->wire), (long long)manager->term, manager->id,
            manager->cluster);
        printf("ready endpoint=%s term=%lld\n", ph_wire_server_endpoint(manager->wire),
            (long long)manager->term);
        fflush(stdout);
        ph_notify("READY=1");
        status = finish(manager, loop(manager));
    }
    destroy(manager);
    return status;
}
