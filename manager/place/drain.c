/*
 * Emptying a node: every pool to a place, counting what the others of the plan take.
 *
 *     1. in order of priority, each to the best node as the plan stands then;
 *     2. when one found no place: the same with large pools first, kept when more find one;
 *     3. a few rounds in which each pool may change its mind, now that all others are placed.
 *
 * The moves are listed by priority whatever the order they were placed in.
 */
#include "manager/place/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 3
#define RATINGS_MAX 8000000 /* of step 3: keeps the largest plans within about a second */

struct plan {
    const struct ph_place_cluster *cluster;
    const struct ph_place_copies_of *copies;
    const char *node;
    size_t count;
    struct place_choice *choices; /* by priority, then name: the order of the moves */
    struct place_choice **order;  /* the order they are placed in */
    struct ph_map planned;        /* pool name -> struct place_choice * */
    struct place_view view;
    struct ph_place_node *moved;
};

static int by_priority(const void *a, const void *b)
{
    const struct ph_pool *x = ((const struct place_choice *)a)->pool;
    const struct ph_pool *y = ((const struct place_choice *)b)->pool;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_size(const void *a, const void *b)
{
    const struct place_choice *x = *(struct place_choice *const *)a;
    const struct place_choice *y = *(struct place_choice *const *)b;

    if (x->pool->memory_mib != y->pool->memory_mib)
        return x->pool->memory_mib > y->pool->memory_mib ? -1 : 1;
    if (x->pool->cpu != y->pool->cpu)
        return x->pool->cpu > y->pool->cpu ? -1 : 1;
    if (x->pool->disk_mib != y->pool->disk_mib)
        return x->pool->disk_mib > y->pool->disk_mib ? -1 : 1;
    return by_priority(x, y);
}

static void ask(const struct plan *plan, const struct ph_pool *pool,
    struct ph_place_question *question, struct place_asked *asked)
{
    *question = (struct ph_place_question){.pool = pool, .from = plan->node};
    if (plan->copies != NULL)
        question->copy_count =
            plan->copies->copies(plan->copies->context, pool->name, &question->copies);
    place_ask(&plan->view, question, asked);
}

static void take(struct plan *plan, struct place_choice *choice, long index, int sign,
    const struct ph_place_question *question)
{
    const char *node = plan->cluster->nodes[index].node->name;

    place_view_move(
        &plan->view, (size_t)index, choice->pool, sign, place_copy_at(question, node) != NULL);
    choice->index = sign > 0 ? index : -1;
}

static void place_one(struct plan *plan, struct place_choice *choice)
{
    struct ph_place_question question;
    struct place_asked asked;
    struct place_rating best;
    long hope;

    ask(plan, choice->pool, &question, &asked);
    if (choice->index >= 0)
        take(plan, choice, choice->index, -1, &question);
    long index = place_best(&plan->view, &asked, &best, &hope);

    if (index >= 0)
        take(plan, choice, index, 1, &question);
}

/* From nothing: places all in plan->order. Returns how many found a place. */
static size_t place_all(struct plan *plan)
{
    struct ph_place_question question = {.from = plan->node};
    size_t placed = 0;

    if (plan->cluster->node_count > 0)
        memcpy(plan->moved, plan->cluster->nodes, plan->cluster->node_count * sizeof *plan->moved);
    plan->view = (struct place_view){.moved = plan->moved, .planned = &plan->planned};
    place_view_init(&plan->view, plan->cluster, &question);
    for (size_t i = 0; i < plan->count; i++)
        plan->choices[i].index = -1;
    for (size_t i = 0; i < plan->count; i++) {
        place_one(plan, plan->order[i]);
        placed += plan->order[i]->index >= 0;
    }
    return placed;
}

static void improve(struct plan *plan)
{
    size_t ratings = 0;
    bool changed = true;

    for (int round = 0; round < ROUNDS_MAX && changed; round++) {
        changed = false;
        for (size_t i = 0; i < plan->count && ratings < RATINGS_MAX; i++) {
            long before = plan->order[i]->index;

            place_one(plan, plan->order[i]);
            changed = changed || plan->order[i]->index != before;
            ratings += plan->cluster->node_count;
        }
    }
}

static int collect(struct plan *plan)
{
    const struct ph_map *pools = plan->cluster->pools;

    for (int pass = 0; pass < 2; pass++) {
        size_t count = 0;

        for (size_t i = 0; pools != NULL && i < pools->count; i++) {
            const struct ph_pool *pool = pools->items[i].value;

            if (strcmp(pool->node, plan->node) != 0 || pool->desired != PH_DESIRED_ACTIVE)
                continue;
            if (pass == 1)
                plan->choices[count] = (struct place_choice){.pool = pool, .index = -1};
            count++;
        }
        if (pass == 0) {
            plan->count = count;
            plan->choices = calloc(count + 1, sizeof *plan->choices);
            plan->order = calloc(count + 1, sizeof *plan->order);
            plan->moved = calloc(plan->cluster->node_count + 1, sizeof *plan->moved);
            if (plan->choices == NULL || plan->order == NULL || plan->moved == NULL)
                return -ENOMEM;
        }
    }
    /* They are in order of name now, which makes each put an append. */
    for (size_t i = 0; i < plan->count; i++)
        plan->order[i] = &plan->choices[i];
    qsort(plan->choices, plan->count, sizeof *plan->choices, by_priority);
    for (size_t i = 0; i < plan->count; i++) {
        if (ph_map_put(&plan->planned, plan->choices[i].pool->name, &plan->choices[i]) != 0)
            return -ENOMEM;
    }
    return 0;
}

static int write_out(struct plan *plan, struct ph_planned_move_list *out)
{
    char reason[PH_TEXT_BYTES_MAX + 1];

    for (size_t i = 0; i < plan->count; i++) {
        struct place_choice *choice = &plan->choices[i];
        struct ph_planned_move *move =
            ph_many_add(&ph_record_planned_move, (struct ph_many *)(void *)out);
        struct ph_place_question question;
        struct place_asked asked;
        struct place_rating rating;

        if (move == NULL)
            return -ENOMEM;
        ask(plan, choice->pool, &question, &asked);
        ph_text_format(move->pool, sizeof move->pool, "%s", choice->pool->name);
        ph_text_format(move->from, sizeof move->from, "%s", plan->node);
        move->priority = choice->pool->priority;
        long index = choice->index, hope;

        if (index >= 0) {
            /* Said as it was decided: with the pool not there yet. */
            take(plan, choice, index, -1, &question);
            place_rate(&plan->view, &asked, (size_t)index, &rating);
            place_say_chosen(&plan->view, &asked, (size_t)index, &rating, reason, sizeof reason);
            take(plan, choice, index, 1, &question);
            ph_text_format(move->to, sizeof move->to, "%s", plan->cluster->nodes[index].node->name);
        } else {
            place_best(&plan->view, &asked, &rating, &hope);
            place_say_none(&plan->view, &asked, hope, reason, sizeof reason);
        }
        if (ph_set_text(&move->reason, reason) != 0)
            return -ENOMEM;
    }
    return 0;
}

int ph_place_drain(const struct ph_place_cluster *cluster, const char *node,
    const struct ph_place_copies_of *copies, struct ph_planned_move_list *out)
{
    struct plan plan = {.cluster = cluster, .copies = copies, .node = node};
    int rv = -ENOENT;

    if (place_find(cluster, node) < 0)
        return rv;
    for (size_t i = 0; i < out->count; i++)
        ph_record_fini(&ph_record_planned_move, &out->items[i]);
    free(out->items);
    *out = (struct ph_planned_move_list){0};
    rv = collect(&plan);
    if (rv != 0)
        goto cleanup;
    size_t placed = place_all(&plan);

    if (placed < plan.count) {
        qsort(plan.order, plan.count, sizeof(struct place_choice *), by_size);
        if (place_all(&plan) <= placed) {
            for (size_t i = 0; i < plan.count; i++)
                plan.order[i] = &plan.choices[i];
            place_all(&plan);
        }
    }
    improve(&plan);
    rv = write_out(&plan, out);
cleanup:
    ph_map_fini(&plan.planned);
    free(plan.choices);
    free(plan.order);
    free(plan.moved);
    return rv;
}
