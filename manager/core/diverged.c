/*
 * Data of former owners that newer copies replaced: nodes say what they keep, operators and time say when it goes.
 *
 * What is here is what the nodes said last, and nothing of it is stored. Nothing is removed by time alone: its end
 * is announced by an event, and this manager waits for the notice after its own announcement, by the clock that
 * nobody sets. So neither a wrong date nor a restart removes anything unannounced.
 */
#include "manager/core/request.h"

#include <stdlib.h>
#include <string.h>

#define NOTICE_MS_MAX ((uint64_t)86400 * 1000)

static uint64_t notice_ms(const struct ph_core *core)
{
    uint64_t tenth = core->config.diverged_keep_ms / 10;

    return tenth < NOTICE_MS_MAX ? tenth : NOTICE_MS_MAX;
}

static int64_t expires_at(const struct ph_core *core, const struct core_diverged *kept)
{
    return core->config.diverged_keep_ms == 0
               ? 0
               : kept->row.since + (int64_t)core->config.diverged_keep_ms;
}

static void tell(struct ph_core *core, struct core_node *node, const struct core_diverged *kept)
{
    struct ph_diverged_drop drop = {.term = core->term};

    if (ph_set_text(&drop.manager, core->manager_id) != 0 ||
        ph_set_text(&drop.name, kept->row.name) != 0)
        core->no_memory = true;
    core_send(core, node->row.name, PH_MSG_DIVERGED_DROP, &drop);
    ph_record_fini(&ph_record_diverged_drop, &drop);
}

/* Announces, or has removed, what is due; when to look again in *next_ms. */
static void look(
    struct ph_core *core, struct core_node *node, struct core_diverged *kept, uint64_t *next_ms)
{
    struct core_about about = {.node = node, .pool = core_find_pool(core, kept->row.pool)};
    int64_t left_ms = expires_at(core, kept) - core->wall_ms;
    uint64_t wait_ms = 0;

    if (core->config.diverged_keep_ms == 0 || kept->dropping)
        return;
    if (kept->announced_ms == 0) {
        if (left_ms > (int64_t)notice_ms(core)) {
            wait_ms = (uint64_t)left_ms - notice_ms(core);
        } else {
            kept->announced_ms = core->now_ms;
            core_event(core, PH_EVENT_WARNING, "diverged-expires", &about,
                "%s on %s, data that a newer copy replaced, is going to be removed "
                "(diverged_keep_s): "
                "bring over what is needed",
                kept->row.name, node->row.name);
        }
    }
    if (kept->announced_ms != 0) {
        uint64_t waited_ms = core->now_ms - kept->announced_ms;
        if (left_ms > 0)
            wait_ms = (uint64_t)left_ms;
        if (waited_ms < notice_ms(core) && notice_ms(core) - waited_ms > wait_ms)
            wait_ms = notice_ms(core) - waited_ms;
        if (wait_ms == 0) {
            kept->dropping = true;
            core_event(core, PH_EVENT_INFO, "diverged-expired", &about,
                "%s on %s has been kept for its time; it is removed", kept->row.name,
                node->row.name);
            tell(core, node, kept);
            return;
        }
    }
    if (core->now_ms + wait_ms < *next_ms)
        *next_ms = core->now_ms + wait_ms;
}

void core_diverged_due(struct ph_core *core, struct core_node *node)
{
    uint64_t next_ms = UINT64_MAX;

    for (size_t i = 0; i < node->diverged_count; i++)
        look(core, node, &node->diverged[i], &next_ms);
    if (next_ms == UINT64_MAX)
        core_timer_clear(core, &node->diverged_timer);
    else
        core_timer_set(core, &node->diverged_timer, next_ms);
}

static struct core_diverged *find(const struct core_node *node, const char *name)
{
    for (size_t i = 0; i < node->diverged_count; i++) {
        if (strcmp(node->diverged[i].row.name, name) == 0)
            return &node->diverged[i];
    }
    return NULL;
}

static const struct ph_diverged *listed(const struct ph_diverged_report *report, const char *name)
{
    for (size_t i = 0; i < report->items.count; i++) {
        if (strcmp(report->items.items[i].name, name) == 0)
            return &report->items.items[i];
    }
    return NULL;
}

static void say_gone(
    struct ph_core *core, struct core_node *node, const struct ph_diverged_report *report)
{
    for (size_t i = 0; i < node->diverged_count; i++) {
        const struct core_diverged *kept = &node->diverged[i];
        struct core_about about = {.node = node, .pool = core_find_pool(core, kept->row.pool)};

        if (listed(report, kept->row.name) == NULL)
            core_event(core, PH_EVENT_INFO, "diverged-removed", &about, "%s on %s is gone%s",
                kept->row.name, node->row.name,
                kept->dropping ? "" : ", though nobody asked for it here");
    }
}

static void say_new(struct ph_core *core, struct core_node *node, const struct core_diverged *kept)
{
    struct core_about about = {.node = node, .pool = core_find_pool(core, kept->row.pool)};

    /* A manager that has just started hears of what is old news. */
    if (!node->diverged_heard &&
        kept->row.since + (int64_t)(core->now_ms - core->started_ms) < core->wall_ms)
        return;
    core_event(core, PH_EVENT_WARNING, "data-diverged", &about,
        "%s was written by %s as owner of %s under epoch %lld and is in no copy: it is kept as %s "
        "(poolherd diverged list)",
        "data", node->row.name, kept->row.pool, (long long)kept->row.epoch, kept->row.name);
}

void core_diverged_said(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_diverged_report *report = in->body;
    struct core_node *node = core_find_node(core, in->sender);
    size_t count = report->items.count;

    if (node == NULL || core->outdated)
        return;
    struct core_diverged *items = calloc(count == 0 ? 1 : count, sizeof *items);
    if (items == NULL) {
        core->no_memory = true;
        return;
    }
    say_gone(core, node, report);
    for (size_t i = 0; i < count; i++) {
        const struct core_diverged *old = find(node, report->items.items[i].name);

        if (ph_record_copy(&ph_record_diverged, &items[i].row, &report->items.items[i]) != 0)
            core->no_memory = true;
        if (old != NULL) {
            items[i].announced_ms = old->announced_ms;
            items[i].dropping = old->dropping;
            if (old->dropping)
                tell(core, node, &items[i]); /* it has not been done yet, or was not heard */
        } else {
            say_new(core, node, &items[i]);
        }
    }
    core_diverged_free(core, node);
    node->diverged = items;
    node->diverged_count = count;
    node->diverged_heard = true;
    core_diverged_due(core, node);
}

void core_diverged_free(struct ph_core *core, struct core_node *node)
{
    core_timer_clear(core, &node->diverged_timer);
    for (size_t i = 0; i < node->diverged_count; i++)
        ph_record_fini(&ph_record_diverged, &node->diverged[i].row);
    free(node->diverged);
    node->diverged = NULL;
    node->diverged_count = 0;
}

/* ---- asked ---- */

void core_view_diverged(struct ph_core *core, const char *pool, struct ph_diverged_view_list *list)
{
    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;

        for (size_t j = 0; j < node->diverged_count && list->count < PH_LIST_ITEMS_MAX; j++) {
            const struct core_diverged *kept = &node->diverged[j];
            if (pool != NULL && strcmp(kept->row.pool, pool) != 0)
                continue;
            struct ph_diverged_view *view =
                ph_many_add(&ph_record_diverged_view, (struct ph_many *)(void *)list);
            if (view == NULL) {
                core->no_memory = true;
                return;
            }
            memcpy(view->node, node->row.name, sizeof view->node);
            memcpy(view->pool, kept->row.pool, sizeof view->pool);
            core_copy_text(core, &view->name, kept->row.name);
            view->epoch = kept->row.epoch;
            view->since = kept->row.since;
            view->expires_at = expires_at(core, kept);
            view->dropping = kept->dropping;
        }
    }
}

int ph_request_diverged_show(struct ph_core *core, const struct ph_event_in *in)
{
    struct ph_diverged_shown shown = {0};

    core_view_diverged(core, NULL, &shown.items);
    core_answer_take(core, in, PH_MSG_DIVERGED_SHOWN, &shown);
    return 0;
}

int ph_request_diverged_remove(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_diverged_ask *asked = in->body;
    struct core_node *node = core_find_node(core, asked->node);
    struct core_diverged *kept = node == NULL ? NULL : find(node, asked->name);

    if (node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "node", "there is no node %s", asked->node);
    if (kept == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name",
            "%s keeps nothing of that name (poolherd diverged list)", asked->node);
    core_command(core, in,
        &(struct core_about){.node = node, .pool = core_find_pool(core, kept->row.pool)},
        "remove %s of %s", kept->row.name, node->row.name);
    kept->dropping = true;
    tell(core, node, kept);
    core_answer_done(core, in, 0, "%s is told to remove %s", node->row.name, kept->row.name);
    return 0;
}
