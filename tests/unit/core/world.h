/*
 * The agents of fixture.h, what really runs, and time. Included by fixture.h.
 */
#ifndef PH_TESTS_CORE_WORLD_H
#define PH_TESTS_CORE_WORLD_H

#include "votes.h"

FX bool fx_runs(const struct fx_local *local)
{
    return local->state == PH_LOCAL_ACTIVE || local->state == PH_LOCAL_ACTIVATING ||
           local->state == PH_LOCAL_DEACTIVATING || local->state == PH_LOCAL_STUCK;
}

/* The judge: no pool has something running in two places. */
FX void fx_judge(struct fixture *fx)
{
    if (fx->lawless)
        return;
    for (int i = 0; i < fx->node_count; i++) {
        for (int p = 0; p < fx->nodes[i].pool_count; p++) {
            const struct fx_local *a = &fx->nodes[i].pools[p];

            if (!fx_runs(a) || !fx->nodes[i].up)
                continue;
            for (int j = i + 1; j < fx->node_count; j++) {
                for (int q = 0; q < fx->nodes[j].pool_count; q++) {
                    const struct fx_local *b = &fx->nodes[j].pools[q];

                    if (fx->nodes[j].up && fx_runs(b) && strcmp(a->name, b->name) == 0)
                        fail_msg(
                            "seed %llu: %s runs on %s (epoch %lld) and on %s (epoch %lld) at %llu",
                            (unsigned long long)fx_seed_said, a->name, fx->nodes[i].name,
                            (long long)a->epoch, fx->nodes[j].name, (long long)b->epoch,
                            (unsigned long long)fx->now_ms);
                }
            }
        }
    }
}

FX struct fx_local *fx_local(struct fx_node *node, const char *pool)
{
    for (int i = 0; i < node->pool_count; i++) {
        if (strcmp(node->pools[i].name, pool) == 0)
            return &node->pools[i];
    }
    return NULL;
}

FX struct fx_local *fx_local_make(struct fx_node *node, const char *pool)
{
    struct fx_local *local = fx_local(node, pool);

    if (local != NULL)
        return local;
    assert_true(node->pool_count < FX_POOLS);
    local = &node->pools[node->pool_count++];
    memset(local, 0, sizeof *local);
    snprintf(local->name, sizeof local->name, "%s", pool);
    return local;
}

FX void fx_changed(struct fx_local *local)
{
    local->report_number++;
    local->report_acked = false;
    local->report_due = true;
}

FX void fx_fill_report(struct fx_local *local, struct ph_report *report)
{
    *report = (struct ph_report){.number = local->report_number,
        .epoch = local->epoch,
        .state = local->state,
        .data_epoch = local->data_epoch,
        .data_sequence = local->data_sequence + (local->unsequenced && !fx_runs(local))};
    if (report->number == 0)
        report->number = 1;
    if (local->ordered) {
        report->order_term = local->order.term;
        report->order_number = local->order.number;
        for (size_t i = 0; local->operated && i < local->order.operations.count; i++)
            local->order.operations.items[i].state = PH_OPERATION_SUCCEEDED;
        if (local->operated)
            report->operations = local->order.operations; /* borrowed, as the rest */
    }
    memcpy(report->pool, local->name, sizeof report->pool);
}

FX void fx_hello(struct fixture *fx, int index)
{
    struct fx_node *node = &fx->nodes[index];
    struct ph_report reports[FX_POOLS];
    char instance[32], previous[32], boot[16], endpoint[32];
    char *drivers[] = {(char[]){"directory"}, (char[]){"process"}, (char[]){"shared"}};
    struct ph_hello hello = {.instance = instance,
        .previous = previous,
        .boot_id = boot,
        .endpoint = endpoint,
        .drivers = {3, drivers},
        .cpu = 4000,
        .memory_mib = 4096,
        .disk_mib = 100000,
        .watchdog_ms = node->watchdog_ms,
        .generation = node->generation,
        .term = node->term,
        .manager = node->manager,
        .voters = node->voters,
        .lease_left_ms = node->lease && node->deadline_ms > fx->now_ms
                             ? (int64_t)(node->deadline_ms - fx->now_ms)
                             : 0,
        .pools = {0, reports}};

    snprintf(instance, sizeof instance, "%s-%d", node->name, node->instance);
    snprintf(previous, sizeof previous, "%s-%d", node->name, node->instance - 1);
    snprintf(boot, sizeof boot, "b");
    snprintf(endpoint, sizeof endpoint, "tcp://%s:1", node->name);
    for (int i = 0; i < node->pool_count; i++) {
        struct fx_local *local = &node->pools[i];

        if (local->state == PH_LOCAL_NONE && !local->ordered)
            continue;
        if (local->report_number == 0)
            local->report_number = 1;
        fx_fill_report(local, &reports[hello.pools.count++]);
    }
    /* Without a lease it gives up what is under way: no grant of an older beat begins one. */
    if (hello.lease_left_ms == 0 && !fx->keeps_beats)
        memset(node->beats, 0, sizeof node->beats);
    fx_post(fx, true, index, PH_MSG_HELLO, &hello);
    node->next_hello_ms = fx->now_ms + 200;
}

FX void fx_lease_end(struct fx_node *node)
{
    node->lease = node->ending = false;
    node->welcomed = false;
    node->next_hello_ms = 0;
    for (int i = 0; i < node->pool_count; i++) {
        struct fx_local *local = &node->pools[i];

        if (fx_runs(local)) {
            local->state = PH_LOCAL_RELEASED;
            fx_changed(local);
        }
    }
}

FX void fx_take_order(struct fixture *fx, struct fx_node *node, const struct ph_order *order)
{
    struct fx_local *local = fx_local_make(node, order->pool.name);

    if (order->term != node->term || strcmp(order->manager, node->manager) != 0)
        return;
    if (local->ordered &&
        (order->term < local->order.term ||
            (order->term == local->order.term && order->number <= local->order.number))) {
        if (order->number == local->order.number)
            local->report_due = true;
        return;
    }
    if (order->epoch < local->seen_epoch ||
        (order->kind == PH_ORDER_ACTIVATE && order->generation != node->generation))
        return;
    local->seen_epoch = order->epoch;
    assert_int_equal(ph_record_copy(&ph_record_order, &local->order, order), 0);
    local->ordered = true;
    fx_changed(local); /* it took it in */
    if (order->kind == PH_ORDER_DEACTIVATE || order->kind == PH_ORDER_ACTIVATE)
        local->ready_ms = fx->now_ms + 1 + fx_dice(fx, 30);
}

FX void fx_receive(struct fixture *fx, int index, enum ph_message_type type, const void *body)
{
    struct fx_node *node = &fx->nodes[index];

    if (!node->up)
        return;
    if (type == PH_MSG_WELCOME) {
        const struct ph_welcome *welcome = body;
        char instance[32];

        snprintf(instance, sizeof instance, "%s-%d", node->name, node->instance);
        if (welcome->term < node->term || strcmp(welcome->instance, instance) != 0)
            return;
        if (welcome->generation < node->generation)
            return;
        if (node->lease && welcome->generation != node->generation)
            return; /* an ended lease comes first */
        node->term = welcome->term;
        snprintf(node->manager, sizeof node->manager, "%s", welcome->manager);
        if (welcome->generation != node->generation)
            memset(node->beats, 0, sizeof node->beats);
        node->generation = welcome->generation;
        if (!node->welcomed)
            node->next_beat_ms = fx->now_ms;
        node->welcomed = true;
    } else if (type == PH_MSG_GRANT) {
        const struct ph_grant *grant = body;

        if (grant->term < node->term || grant->generation != node->generation)
            return;
        for (int i = 0; i < FX_BEATS; i++) {
            uint64_t end_ms;

            if (node->beats[i].number != grant->number || node->beats[i].number == 0)
                continue;
            end_ms = node->beats[i].sent_ms + (uint64_t)grant->lease_ms;
            if (end_ms <= fx->now_ms || (node->lease && node->held != node->generation))
                break;
            if (node->lease && node->deadline_ms <= fx->now_ms)
                break;
            if (!node->lease || end_ms > node->deadline_ms)
                node->deadline_ms = end_ms;
            node->lease = true;
            node->held = node->generation;
            node->beats[i].number = 0;
            node->beats_granted++;
        }
        if (grant->term > node->term) { /* a manager it has not said hello to */
            node->term = grant->term;
            snprintf(node->manager, sizeof node->manager, "%s", grant->manager);
            node->welcomed = false;
            node->next_hello_ms = 0;
        }
    } else if (type == PH_MSG_UNWELCOME) {
        const struct ph_unwelcome *unwelcome = body;

        node->told_to_end |= unwelcome->duplicate;
        if (unwelcome->say_hello && unwelcome->term >= node->term) {
            node->welcomed = false;
            node->next_hello_ms = 0;
        }
    } else if (type == PH_MSG_VOTER_LIST) {
        fx_voter_list(fx, index, body);
    } else if (type == PH_MSG_PROMISE_ASK) {
        fx_promise_ask(fx, index, body);
    } else if (type == PH_MSG_RELAY) {
        const struct ph_relay *relay = body;
        struct fx_node *to = fx_node(fx, relay->node);

        if (to != NULL && to->up && !to->apart && !node->apart && relay->orders.count == 1)
            fx_take_order(fx, to, &relay->orders.items[0]);
    } else if (type == PH_MSG_ORDER) {
        fx_take_order(fx, node, body);
    } else if (type == PH_MSG_REPORT_OK) {
        const struct ph_report_ok *ok = body;
        struct fx_local *local = fx_local(node, ok->pool);

        if (local != NULL && ok->node[0] == '\0' && ok->number >= local->report_number)
            local->report_acked = true;
    }
}

/* ---- copies ---- */
FX bool fx_copy_to(
    struct fixture *fx, int from, struct fx_local *local, const struct ph_peer *peer, bool last)
{
    struct fx_node *target = fx_node(fx, peer->node);
    struct fx_local *held;
    char instance[32];
    struct ph_copy_report report = {
        .epoch = local->epoch, .state = PH_REPLICA_COMPLETE, .age_ms = 0, .urgent = peer->urgent};
    int to;

    if (target == NULL || !target->up || target->cut || fx->nodes[from].cut || fx->no_copies)
        return false;
    to = (int)(target - fx->nodes);
    held = fx_local_make(target, local->name);
    if (!held->ordered || held->order.kind != PH_ORDER_HOLD || held->order.epoch > local->epoch ||
        fx_runs(held))
        return false;
    if (!last)
        local->data_sequence++;
    held->data_epoch = local->epoch;
    held->data_sequence = local->data_sequence;
    held->data_serial = local->data_serial;
    held->unsequenced = false;
    held->state = PH_LOCAL_COPY;
    held->epoch = local->epoch;
    fx_changed(held);
    memcpy(report.pool, local->name, sizeof report.pool);
    memcpy(report.node, peer->node, sizeof report.node);
    report.sequence = local->data_sequence;
    snprintf(instance, sizeof instance, "%s-%d", fx->nodes[from].name, fx->nodes[from].instance);
    report.instance = instance;
    report.number = ++local->copy_number[to];
    local->copy_ms[to] = fx->now_ms + fx->copy_every_ms;
    local->urgent[to] = peer->urgent;
    fx_post(fx, true, from, PH_MSG_COPY_REPORT, &report);
    return true;
}

FX bool fx_same_point(const struct fx_local *local, struct fx_node *target)
{
    const struct fx_local *held = fx_local(target, local->name);

    return held != NULL && held->data_epoch == local->data_epoch &&
           held->data_sequence == local->data_sequence && !held->unsequenced;
}

FX void fx_copies(struct fixture *fx, int index, struct fx_local *local, bool last)
{
    for (size_t i = 0; i < local->order.copies.count; i++) {
        const struct ph_peer *peer = &local->order.copies.items[i];
        struct fx_node *target = fx_node(fx, peer->node);
        int to = target == NULL ? 0 : (int)(target - fx->nodes);

        if (target != NULL && last && fx_same_point(local, target))
            continue;
        if (target != NULL &&
            (fx->now_ms >= local->copy_ms[to] || peer->urgent > local->urgent[to]))
            fx_copy_to(fx, index, local, peer, last);
    }
}

/* ---- pools ---- */
FX void fx_activate(struct fixture *fx, struct fx_local *local)
{
    if (local->state == PH_LOCAL_ACTIVE && local->epoch == local->order.epoch)
        return;
    if (local->state == PH_LOCAL_FAILED && local->epoch == local->order.epoch)
        return;
    if (local->state != PH_LOCAL_ACTIVATING || local->epoch != local->order.epoch) {
        local->state = PH_LOCAL_ACTIVATING;
        local->epoch = local->order.epoch;
        local->ready_ms = fx->now_ms + 1 + fx_dice(fx, 40);
        fx_changed(local);
        return;
    }
    if (fx->now_ms < local->ready_ms)
        return;
    if (local->fail_always || local->fail_activate > 0) {
        local->fail_activate -= !local->fail_always;
        local->state = PH_LOCAL_FAILED;
    } else {
        local->state = PH_LOCAL_ACTIVE;
        local->data_epoch = local->epoch;
        local->data_sequence = 0;
        local->data_serial = ++fx->serial;
        local->unsequenced = true;
        memset(local->copy_ms, 0, sizeof local->copy_ms);
        memset(local->urgent, 0, sizeof local->urgent);
    }
    fx_changed(local);
}

FX void fx_deactivate(struct fixture *fx, int index, struct fx_local *local)
{
    if (!fx_runs(local)) {
        enum ph_local_state quiet = local->data_epoch > 0 ? PH_LOCAL_RELEASED : PH_LOCAL_NONE;

        if (local->state != quiet && local->state != PH_LOCAL_COPY) {
            local->state = quiet;
            fx_changed(local);
        }
        if (local->unsequenced) {
            local->data_sequence++;
            local->unsequenced = false;
            fx_changed(local);
        }
        if (local->state == PH_LOCAL_RELEASED && local->data_epoch > 0) {
            int64_t speaks = local->epoch;

            local->epoch = local->data_epoch; /* copies of released data keep its epoch */
            fx_copies(fx, index, local, true);
            local->epoch = speaks;
        }
        return;
    }
    if (local->state != PH_LOCAL_DEACTIVATING) {
        local->state = PH_LOCAL_DEACTIVATING;
        local->ready_ms = fx->now_ms + 1 + fx_dice(fx, 40);
        fx_changed(local);
        return;
    }
    if (fx->now_ms < local->ready_ms || local->slow_stop)
        return;
    if (local->unsequenced) {
        local->data_sequence++; /* the release takes one, which the last copies share */
        local->unsequenced = false;
    }
    for (size_t i = 0; i < local->order.copies.count; i++) {
        const struct ph_peer *peer = &local->order.copies.items[i];

        if (peer->required && !fx_copy_to(fx, index, local, peer, true))
            return; /* tried again */
    }
    local->state = PH_LOCAL_RELEASED;
    fx_changed(local);
}

FX void fx_pool(struct fixture *fx, int index, struct fx_local *local)
{
    struct fx_node *node = &fx->nodes[index];
    struct ph_report report;
    char instance[32];

    if (local->ordered) {
        switch (local->order.kind) {
        case PH_ORDER_ACTIVATE:
            if (node->lease && local->order.generation == node->held &&
                fx->now_ms < node->deadline_ms) {
                fx_activate(fx, local);
                if (local->state == PH_LOCAL_ACTIVE)
                    fx_copies(fx, index, local, false);
            }
            break;
        case PH_ORDER_DEACTIVATE:
            fx_deactivate(fx, index, local);
            break;
        case PH_ORDER_HOLD:
            if (fx_runs(local) || local->state == PH_LOCAL_FAILED) {
                local->state = PH_LOCAL_RELEASED;
                fx_changed(local);
            }
            break;
        case PH_ORDER_DROP:
            if (!fx_runs(local) && local->state != PH_LOCAL_NONE) {
                local->state = PH_LOCAL_NONE;
                local->data_epoch = local->data_sequence = 0;
                local->unsequenced = false;
                fx_changed(local);
            }
            break;
        }
    }
    if (local->report_due ||
        (!local->report_acked && local->report_number > 0 && fx->now_ms >= local->report_ms)) {
        local->report_due = false;
        local->report_ms = fx->now_ms + 500;
        fx_fill_report(local, &report);
        snprintf(instance, sizeof instance, "%s-%d", node->name, node->instance);
        report.instance = instance;
        if (node->welcomed)
            fx_post(fx, true, index, PH_MSG_REPORT, &report);
    }
}

FX void fx_agent(struct fixture *fx, int index)
{
    struct fx_node *node = &fx->nodes[index];

    if (!node->up)
        return;
    if (node->lease && fx->now_ms >= node->deadline_ms) {
        /* The guard takes its time; until it is done, what runs runs, and nothing else is done. */
        if (!node->ending)
            node->ended_ms =
                node->deadline_ms + fx_dice(fx, (unsigned)fx->config.timing.stop_ms - FX_STEP_MS);
        node->ending = true;
        if (fx->now_ms < node->ended_ms)
            return;
        fx_lease_end(node);
    }
    fx_ask_votes(fx, index);
    if (!node->welcomed && fx->now_ms >= node->next_hello_ms)
        fx_hello(fx, index);
    /* It beats under its admission, also while it says hello to a new manager. */
    if (node->generation > 0 && (node->welcomed || node->lease) &&
        fx->now_ms >= node->next_beat_ms) {
        char instance[32];
        struct ph_beat beat = {.number = ++node->beat_number,
            .boot_ms = (int64_t)fx->now_ms,
            .generation = node->generation,
            .term = node->term,
            .instance = instance};
        int slot = (int)(beat.number % FX_BEATS);

        snprintf(instance, sizeof instance, "%s-%d", node->name, node->instance);
        node->beats[slot].number = beat.number;
        node->beats[slot].sent_ms = fx->now_ms;
        node->next_beat_ms = fx->now_ms + fx->config.timing.beat_ms;
        fx_post(fx, true, index, PH_MSG_BEAT, &beat);
    }
    for (int i = 0; i < node->pool_count; i++)
        fx_pool(fx, index, &node->pools[i]);
}

/* ---- time ---- */
FX bool fx_next_message(struct fixture *fx, struct fx_message *out)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < fx->message_count; i++) {
        if (fx->messages[i].at_ms > fx->now_ms)
            continue;
        if (best == SIZE_MAX || fx->messages[i].at_ms < fx->messages[best].at_ms ||
            (fx->messages[i].at_ms == fx->messages[best].at_ms &&
                fx->messages[i].order < fx->messages[best].order))
            best = i;
    }
    if (best == SIZE_MAX)
        return false;
    *out = fx->messages[best];
    fx->messages[best] = fx->messages[--fx->message_count];
    return true;
}

FX void fx_deliver(struct fixture *fx)
{
    struct fx_message message;

    while (fx_next_message(fx, &message)) {
        if (message.to_manager) {
            struct ph_event_in event = {.kind = PH_EV_MESSAGE,
                .sender = fx->nodes[message.node].name,
                .type = message.type,
                .body = message.body};

            fx_step(fx, &event);
        } else {
            fx_receive(fx, message.node, message.type, message.body);
        }
        ph_record_destroy(ph_messages[message.type].record, &message.body);
        fx_judge(fx);
    }
}

FX void fx_run(struct fixture *fx, uint64_t ms)
{
    uint64_t until = fx->now_ms + ms;

    while (fx->now_ms < until) {
        fx->now_ms += FX_STEP_MS;
        fx->wall_ms += FX_STEP_MS;
        for (int i = 0; i < fx->node_count; i++) {
            fx_agent(fx, i);
            fx_judge(fx);
        }
        fx_deliver(fx);
        fx_tick(fx);
        fx_judge(fx);
    }
}

/* ---- making it ---- */
FX void fx_boot(struct fixture *fx, const char *name)
{
    struct fx_node *node = fx_node(fx, name);

    node->up = true;
    node->booted_ms = fx->now_ms;
    node->instance++;
    node->lease = node->ending = false;
    node->welcomed = false;
    node->next_hello_ms = 0;
    node->beat_number = 0;
    memset(node->beats, 0, sizeof node->beats);
    for (int i = 0; i < node->pool_count; i++) {
        struct fx_local *local = &node->pools[i];

        if (fx_runs(local) || local->state == PH_LOCAL_FAILED)
            local->state = local->data_epoch > 0 ? PH_LOCAL_RELEASED : PH_LOCAL_NONE;
        local->report_number = 1;
        local->report_acked = true;
        memset(local->copy_number, 0, sizeof local->copy_number);
    }
}

/* The agent process alone: workloads and lease go on. */
FX void fx_agent_restart(struct fixture *fx, const char *name)
{
    struct fx_node *node = fx_node(fx, name);

    node->booted_ms = fx->now_ms;
    node->instance++;
    node->welcomed = false;
    node->next_hello_ms = 0;
    node->beat_number = 0;
    memset(node->beats, 0, sizeof node->beats);
    for (int i = 0; i < node->pool_count; i++) {
        node->pools[i].report_number = 1;
        node->pools[i].report_acked = true;
        memset(node->pools[i].copy_number, 0, sizeof node->pools[i].copy_number);
    }
    (void)fx;
}

FX void fx_kill(struct fixture *fx, const char *name)
{
    fx_node(fx, name)->up = false;
}

FX void fx_declare(struct fixture *fx, const char *name, int64_t copies, const char *prefer)
{
    char *words[] = {(char *)(uintptr_t)prefer};
    char argument[] = "true", driver[] = "process";
    char *command[] = {argument};
    struct ph_vm_spec vm = {.name = "vm1", .command = {1, command}};
    struct ph_pool_spec spec = {.driver = "directory",
        .copies = copies,
        .cpu = 100,
        .memory_mib = 64,
        .disk_mib = 64,
        .sync_interval_s = 1,
        .vms = {1, &vm}};
    struct ph_apply apply = {.pools = {1, &spec}};

    snprintf(vm.kind, sizeof vm.kind, "%s", driver);
    snprintf(spec.name, sizeof spec.name, "%s", name);
    if (prefer != NULL)
        spec.prefer = (struct ph_texts){1, words};
    if (fx_ask(fx, PH_MSG_APPLY, &apply) && fx->answer_type != PH_MSG_APPLIED &&
        strstr(fx_problem(fx), "being removed") == NULL)
        fail_msg("apply: %s", fx_problem(fx));
}

FX struct fixture *fx_new(int nodes, uint64_t seed)
{
    struct fixture *fx = calloc(1, sizeof *fx);

    assert_non_null(fx);
    fx->seed = seed * 2654435761u + 88172645463325252u;
    ph_core_config_default(&fx->config);
    fx->now_ms = 1000000;
    fx->wall_ms = 1700000000000;
    fx->crash_after = -1;
    fx->delay_ms = 3;
    fx->copy_every_ms = 1000;
    fx->request = 1;
    fx->validate = true;
    fx_manager_start(fx);
    for (int i = 0; i < nodes; i++) {
        struct fx_node *node = &fx->nodes[fx->node_count++];

        snprintf(node->name, sizeof node->name, "n%d", i + 1);
        fx_boot(fx, node->name);
    }
    fx_run(fx, 100);
    return fx;
}

FX void fx_free(struct fixture *fx)
{
    ph_core_destroy(&fx->core);
    ph_effects_fini(&fx->effects);
    if (fx->answer != NULL)
        ph_record_destroy(ph_messages[fx->answer_type].record, &fx->answer);
    ph_record_fini(&ph_record_fence_run, &fx->fence);
    for (size_t i = 0; i < fx->row_count; i++)
        ph_record_destroy(fx->rows[i].record, &fx->rows[i].value);
    for (size_t i = 0; i < fx->message_count; i++)
        ph_record_destroy(ph_messages[fx->messages[i].type].record, &fx->messages[i].body);
    free(fx->messages);
    for (int i = 0; i < fx->node_count; i++) {
        for (int p = 0; p < fx->nodes[i].pool_count; p++)
            ph_record_fini(&ph_record_order, &fx->nodes[i].pools[p].order);
    }
    free(fx->trace);
    free(fx);
}

/* ---- looking ---- */
FX const struct ph_pool *fx_pool_row(struct fixture *fx, const char *name)
{
    struct core_pool *pool = core_find_pool(fx->core, name);

    return pool == NULL ? NULL : &pool->row;
}

FX const struct ph_node *fx_node_row(struct fixture *fx, const char *name)
{
    return &core_find_node(fx->core, name)->row;
}

FX const struct ph_job *fx_job_row(struct fixture *fx, int64_t id)
{
    struct core_job *job = core_find_job(fx->core, id);

    return job == NULL ? NULL : &job->row;
}

/* Where the pool really is active; "" when nowhere. */
FX const char *fx_active_on(struct fixture *fx, const char *pool)
{
    for (int i = 0; i < fx->node_count; i++) {
        const struct fx_local *local = fx_local(&fx->nodes[i], pool);

        if (fx->nodes[i].up && local != NULL && local->state == PH_LOCAL_ACTIVE)
            return fx->nodes[i].name;
    }
    return "";
}

#endif
