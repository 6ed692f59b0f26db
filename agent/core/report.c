/*
 * Reports: what each pool is here and how its copies fare, repeated until the manager says that it is
 * durable. Numbers come from one counter, so they ascend per pool and per copy.
 */
#include "agent/core/agent.h"

#include <stdlib.h>
#include <string.h>

bool ph_agent_pool_has_trace(const struct ph_agent_pool *pool)
{
    return pool->local != PH_LOCAL_NONE || pool->data_epoch > 0 || pool->ran || pool->data_active ||
           pool->report_number != pool->report_acked || pool->report_dirty;
}

static uint64_t delay_after(uint64_t delay_ms)
{
    delay_ms *= 2;
    return delay_ms > PH_AGENT_RESEND_MS_MAX ? PH_AGENT_RESEND_MS_MAX : delay_ms;
}

static int fill_vms(const struct ph_agent_pool *pool, struct ph_report *report)
{
    if (pool->phase == PH_AP_IDLE || pool->phase == PH_AP_COPYING ||
        pool->phase == PH_AP_DROPPING) {
        return 0;
    }
    for (size_t i = 0; i < pool->vm_count && report->vms.count < PH_VMS_PER_POOL_MAX; i++) {
        const struct ph_agent_vm *vm = &pool->vms[i];
        struct ph_vm_report *out =
            ph_many_add(&ph_record_vm_report, (struct ph_many *)(void *)&report->vms);
        if (out == NULL) {
            return -1;
        }
        memcpy(out->name, vm->spec.name, sizeof(out->name));
        out->state = vm->state;
        out->pid = vm->pid > 0 && vm->pid <= INT32_MAX ? vm->pid : 0;
        out->restarts = vm->restarts;
        const char *reason =
            vm->reason != NULL && vm->reason[0] != '\0' ? vm->reason : vm->seen.reason;
        out->memory_used_mib = vm->seen.memory_used_mib;
        out->disk_used_mib = vm->seen.disk_used_mib;
        if (ph_set_text(&out->reason, reason) != 0 ||
            ph_set_text(&out->guest, vm->seen.guest) != 0 ||
            ph_set_text(&out->accelerator, vm->seen.accelerator) != 0 ||
            ph_set_text(&out->vnc, vm->seen.vnc) != 0 ||
            ph_texts_copy(&out->addresses, &vm->seen.addresses) != 0) {
            return -1;
        }
    }
    return 0;
}

int ph_agent_report_fill(
    struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_report *report)
{
    pool->report_number = ++agent->last_report;
    pool->report_dirty = false;
    pool->report_delay_ms = PH_AGENT_RESEND_MS_MIN;
    pool->report_due_ms = agent->now_ms + PH_AGENT_RESEND_MS_MIN;
    ph_agent_pool_touch(pool);
    memcpy(report->pool, pool->name, sizeof(report->pool));
    report->number = pool->report_number;
    report->epoch = pool->epoch;
    if (pool->has_order) {
        report->epoch = pool->order.epoch;
        report->order_term = pool->order.term;
        report->order_number = pool->order.number;
    }
    report->state = pool->local;
    report->data_epoch = pool->data_epoch;
    report->data_sequence = pool->data_sequence;
    if (pool->unsequenced && pool->phase == PH_AP_IDLE) {
        report->data_sequence++; /* ended uncleanly: newer than any copy of it */
    }
    if (ph_set_text(&report->reason, pool->reason) != 0 ||
        ph_set_text(&report->step, pool->step) != 0 || fill_vms(pool, report) != 0 ||
        ph_agent_operations_fill(pool, report) != 0) {
        agent->out_of_memory = true;
        return -1;
    }
    return 0;
}

/* Sends the pool's report, with another reason when one is given. */
static void send_report(struct ph_agent *agent, struct ph_agent_pool *pool, const char *reason)
{
    struct ph_report *report = calloc(1, sizeof(*report));
    if (report == NULL || ph_agent_report_fill(agent, pool, report) != 0 ||
        ph_set_text(&report->instance, agent->instance) != 0 ||
        (reason != NULL && ph_set_text(&report->reason, reason) != 0)) {
        agent->out_of_memory = true;
        void *value = report;
        if (value != NULL) {
            ph_record_destroy(&ph_record_report, &value);
        }
        return;
    }
    ph_agent_send_owned(agent, PH_MSG_REPORT, report, false);
}

void ph_agent_report_once(
    struct ph_agent *agent, const char *name, int64_t epoch, const char *reason)
{
    ph_agent_note_refused(agent, "pool=%s %s", name, reason);
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, name);
    if (pool != NULL) {
        if (pool->unsaved) {
            ph_agent_save_pool(agent, pool);
        }
        send_report(agent, pool, reason);
        return;
    }
    struct ph_report report = {0};
    (void)ph_text_format(report.pool, sizeof(report.pool), "%s", name);
    report.number = ++agent->last_report;
    report.epoch = epoch;
    report.state = PH_LOCAL_NONE;
    if (ph_set_text(&report.reason, reason) != 0 ||
        ph_set_text(&report.instance, agent->instance) != 0) {
        agent->out_of_memory = true;
    }
    ph_agent_send(agent, PH_MSG_REPORT, &report, false);
    ph_record_fini(&ph_record_report, &report);
}

void ph_agent_copy_report_dirty(struct ph_agent_peer *peer)
{
    peer->report_dirty = true;
}

static void send_copy_report(
    struct ph_agent *agent, const struct ph_agent_pool *pool, struct ph_agent_peer *peer)
{
    struct ph_copy_report report = {0};
    memcpy(report.pool, pool->name, sizeof(report.pool));
    memcpy(report.node, peer->peer.node, sizeof(report.node));
    peer->report_number = ++agent->last_report;
    report.number = peer->report_number;
    report.epoch = peer->complete ? peer->epoch : pool->order.epoch;
    report.state = peer->failures > 0 ? PH_REPLICA_FAILING
                   : peer->complete   ? PH_REPLICA_COMPLETE
                                      : PH_REPLICA_SEEDING;
    report.progress = peer->progress;
    report.sent_bytes = peer->sent_bytes;
    report.kib_s = peer->kib_s;
    report.verified = peer->complete ? peer->verify_done : 0;
    report.spoilt = peer->spoilt;
    if (peer->complete) {
        report.sequence = peer->sequence;
        report.age_ms = (int64_t)(agent->now_ms - peer->as_of_ms);
        report.bytes = peer->bytes;
        report.urgent = peer->urgent_done;
    }
    if (ph_set_text(&report.reason, peer->reason) != 0 ||
        ph_set_text(&report.instance, agent->instance) != 0 ||
        (peer->complete && ph_set_text(&report.hash, peer->hash) != 0)) {
        agent->out_of_memory = true;
    }
    ph_agent_send(agent, PH_MSG_COPY_REPORT, &report, false);
    ph_record_fini(&ph_record_copy_report, &report);
    peer->report_open = true;
    peer->report_due_ms = agent->now_ms + peer->report_delay_ms;
}

static bool may_report(const struct ph_agent *agent)
{
    return agent->lease.ever_admitted;
}

void ph_agent_reports_flush(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (pool->unsaved) {
        ph_agent_save_pool(agent, pool);
    }
    if (!may_report(agent)) {
        return;
    }
    bool open = pool->report_number != pool->report_acked;
    if (pool->report_dirty) {
        send_report(agent, pool, NULL);
    } else if (open && agent->now_ms >= pool->report_due_ms) {
        uint64_t delay_ms = delay_after(pool->report_delay_ms);
        send_report(agent, pool, NULL);
        pool->report_delay_ms = delay_ms;
        pool->report_due_ms = agent->now_ms + delay_ms;
    }
    for (size_t i = 0; i < pool->peer_count; i++) {
        struct ph_agent_peer *peer = &pool->peers[i];
        if (peer->report_dirty) {
            peer->report_dirty = false;
            peer->report_delay_ms = PH_AGENT_RESEND_MS_MIN;
            send_copy_report(agent, pool, peer);
        } else if (peer->report_open && agent->now_ms >= peer->report_due_ms) {
            peer->report_delay_ms = delay_after(peer->report_delay_ms);
            send_copy_report(agent, pool, peer);
        }
    }
}

void ph_agent_on_report_ok(struct ph_agent *agent, const struct ph_report_ok *ok)
{
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, ok->pool);
    if (pool == NULL) {
        return;
    }
    ph_agent_pool_touch(pool);
    if (ok->node[0] == '\0') {
        if (ok->number == pool->report_number) {
            pool->report_acked = ok->number;
        }
        return;
    }
    struct ph_agent_peer *peer = ph_agent_peer_find(pool, ok->node);
    if (peer != NULL && ok->number == peer->report_number) {
        peer->report_open = false;
    }
}

uint64_t ph_agent_reports_wake_ms(const struct ph_agent *agent, const struct ph_agent_pool *pool)
{
    uint64_t wake_ms = PH_NEVER;
    if (!may_report(agent)) {
        return wake_ms;
    }
    if (pool->report_dirty) {
        wake_ms = agent->now_ms;
    } else if (pool->report_number != pool->report_acked) {
        wake_ms = pool->report_due_ms;
    }
    for (size_t i = 0; i < pool->peer_count; i++) {
        const struct ph_agent_peer *peer = &pool->peers[i];
        if (peer->report_open && peer->report_due_ms < wake_ms) {
            wake_ms = peer->report_due_ms;
        }
    }
    return wake_ms;
}
