/*
 * The hard rules, and what the soft ones look at. See place.h.
 */
#include "manager/place/internal.h"

#include <string.h>

bool ph_place_matches(const struct ph_node *node, const char *word)
{
    if (strcmp(node->name, word) == 0)
        return true;
    /* A name has no '=', so that a word with one can only be a label. */
    return strchr(word, '=') != NULL && ph_texts_contain(&node->labels, word);
}

const char *place_lacks(
    const struct ph_place_cluster *cluster, const struct ph_pool *pool, const struct ph_node *node)
{
    if (!ph_texts_contain(&node->drivers, pool->driver))
        return pool->driver;
    return cluster->lacks == NULL ? NULL : cluster->lacks(cluster->lacks_context, pool->name, node);
}

bool place_allowed(const struct ph_pool *pool, const struct ph_node *node)
{
    if (pool->allow.count == 0)
        return true;
    for (size_t i = 0; i < pool->allow.count; i++) {
        if (ph_place_matches(node, pool->allow.items[i]))
            return true;
    }
    return false;
}

long place_find(const struct ph_place_cluster *cluster, const char *node)
{
    size_t low = 0, high = cluster->node_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(cluster->nodes[middle].node->name, node);

        if (order == 0)
            return (long)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const struct ph_place_copy *place_copy_at(
    const struct ph_place_question *question, const char *node)
{
    for (size_t i = 0; i < question->copy_count; i++) {
        if (strcmp(question->copies[i].node, node) == 0)
            return &question->copies[i];
    }
    return NULL;
}

int place_overfull(const struct place_view *view, const struct place_asked *asked, size_t index)
{
    const struct ph_place_node *node = place_node(view, index);

    if ((long)index == asked->here)
        return -1; /* it is counted there already */
    for (int i = PLACE_CPU; i <= PLACE_DISK; i++) {
        enum place_dimension dimension = (enum place_dimension)i;
        int64_t capacity = place_capacity(node, dimension);
        int64_t need = place_need(asked->question->pool, dimension);

        if (capacity == 0 || need == 0)
            continue;
        if (dimension == PLACE_DISK && place_copy_at(asked->question, node->node->name) != NULL)
            continue; /* the copy there has the room already */
        if (need > capacity - place_used(node, dimension))
            return i;
    }
    return -1;
}

/* Whether this pool is, or is about to be, on the node. */
static bool pool_on(const struct place_view *view, const char *pool_name, const char *node,
    bool also_where_it_leaves)
{
    const struct place_choice *choice =
        view->planned != NULL ? ph_map_get(view->planned, pool_name) : NULL;
    const char *target = choice == NULL && view->cluster->targets != NULL
                             ? ph_map_get(view->cluster->targets, pool_name)
                             : NULL;

    if (choice != NULL && choice->index >= 0)
        target = place_node(view, (size_t)choice->index)->node->name;
    if (target != NULL && strcmp(target, node) == 0)
        return true;
    if (target != NULL && !also_where_it_leaves)
        return false;
    const struct ph_pool *pool =
        view->cluster->pools != NULL ? ph_map_get(view->cluster->pools, pool_name) : NULL;

    return pool != NULL && strcmp(pool->node, node) == 0;
}

static bool names(const struct ph_texts *texts, const char *name)
{
    return texts->count != 0 && ph_texts_contain(texts, name);
}

/* The pool on the node that has to be apart from this one, or NULL. */
static const char *apart_there(
    const struct place_view *view, const struct place_asked *asked, const char *node)
{
    const struct ph_pool *pool = asked->question->pool;

    for (size_t i = 0; i < pool->apart.count; i++) {
        if (pool_on(view, pool->apart.items[i], node, true))
            return pool->apart.items[i];
    }
    if (view->cluster->relations != NULL) {
        for (size_t i = 0; asked->named != NULL && i < asked->named->apart_by.count; i++) {
            if (pool_on(view, asked->named->apart_by.items[i], node, true))
                return asked->named->apart_by.items[i];
        }
        return NULL;
    }
    for (size_t i = 0; view->cluster->pools != NULL && i < view->cluster->pools->count; i++) {
        const struct ph_pool *other = view->cluster->pools->items[i].value;

        if (names(&other->apart, pool->name) && pool_on(view, other->name, node, true))
            return other->name;
    }
    return NULL;
}

size_t place_together(const struct place_view *view, const struct place_asked *asked, size_t index)
{
    const struct ph_pool *pool = asked->question->pool;
    const char *node = place_node(view, index)->node->name;
    size_t count = 0;

    for (size_t i = 0; i < pool->together.count; i++)
        count += pool_on(view, pool->together.items[i], node, false);
    if (view->cluster->relations != NULL) {
        for (size_t i = 0; asked->named != NULL && i < asked->named->together_by.count; i++) {
            const char *other = asked->named->together_by.items[i];

            count += !names(&pool->together, other) && pool_on(view, other, node, false);
        }
        return count;
    }
    for (size_t i = 0; view->cluster->pools != NULL && i < view->cluster->pools->count; i++) {
        const struct ph_pool *other = view->cluster->pools->items[i].value;

        count += names(&other->together, pool->name) && !names(&pool->together, other->name) &&
                 pool_on(view, other->name, node, false);
    }
    return count;
}

enum place_rule place_forbidden(
    const struct place_view *view, const struct place_asked *asked, size_t index)
{
    const struct ph_place_question *question = asked->question;
    const struct ph_place_node *node = place_node(view, index);
    const char *name = node->node->name;
    const struct ph_place_copy *copy;

    if ((long)index == view->from)
        return PLACE_RULE_FROM;
    if (question->only != NULL && strcmp(question->only, name) != 0)
        return PLACE_RULE_ONLY;
    if (!place_allowed(question->pool, node->node))
        return PLACE_RULE_ALLOW;
    if (!node->available && (long)index != asked->here)
        return PLACE_RULE_AVAILABLE;
    if (place_lacks(view->cluster, question->pool, node->node) != NULL)
        return PLACE_RULE_DRIVER;
    if (question->data_needed && (long)index != asked->here) {
        copy = place_copy_at(question, name);
        if (copy == NULL || !copy->complete)
            return PLACE_RULE_DATA;
    }
    if (apart_there(view, asked, name) != NULL)
        return PLACE_RULE_APART;
    if (place_overfull(view, asked, index) >= 0)
        return PLACE_RULE_CAPACITY;
    return PLACE_RULES;
}

static const char *unit_of(enum place_dimension dimension)
{
    return dimension == PLACE_CPU      ? "thousandths of a processor"
           : dimension == PLACE_MEMORY ? "MiB memory"
                                       : "MiB disk";
}

/* Kept here because it must agree with place_forbidden(). */
void place_say_forbidden(const struct place_view *view, const struct place_asked *asked,
    size_t index, enum place_rule rule, char *out, size_t size)
{
    const struct ph_place_question *question = asked->question;
    const struct ph_place_node *node = place_node(view, index);
    const char *name = node->node->name;
    const char *first = question->pool->allow.count > 0 ? question->pool->allow.items[0] : "";
    int full;

    switch (rule) {
    case PLACE_RULE_FROM:
        ph_text_format(out, size, "it is to leave %s", name);
        break;
    case PLACE_RULE_ONLY:
        ph_text_format(out, size, "only %s was asked for", question->only);
        break;
    case PLACE_RULE_ALLOW:
        ph_text_format(out, size, "%s is not among its allowed nodes (%s%s)", name, first,
            question->pool->allow.count > 1 ? ", ..." : "");
        break;
    case PLACE_RULE_AVAILABLE:
        if (node->node->admin != PH_ADMIN_ACTIVE)
            ph_text_format(out, size, "%s is %s%s and gets no pools", name,
                node->node->admin == PH_ADMIN_MAINTENANCE ? "in " : "",
                ph_enum_word(&ph_enum_node_admin, (int)node->node->admin));
        else if (node->node->state != PH_NODE_ONLINE)
            ph_text_format(out, size, "%s is %s", name,
                ph_enum_word(&ph_enum_node_state, (int)node->node->state));
        else
            ph_text_format(out, size, "%s may not be given pools now", name);
        break;
    case PLACE_RULE_DRIVER:
        ph_text_format(out, size, "the driver %s does not work on %s (%s%s%s)",
            place_lacks(view->cluster, question->pool, node->node), name,
            node->node->drivers.count > 0 ? "it has " : "it named no driver",
            node->node->drivers.count > 0 ? node->node->drivers.items[0] : "",
            node->node->drivers.count > 1 ? ", ..." : "");
        break;
    case PLACE_RULE_DATA:
        if (place_copy_at(question, name) != NULL)
            ph_text_format(out, size, "the copy of its data on %s is not complete", name);
        else
            ph_text_format(out, size, "%s keeps no copy of its data", name);
        break;
    case PLACE_RULE_APART:
        ph_text_format(out, size, "it must be apart from pool %s, which is on %s",
            apart_there(view, asked, name), name);
        break;
    case PLACE_RULE_CAPACITY:
        full = place_overfull(view, asked, index);
        ph_text_format(out, size, "needs %lld %s, %s has %lld of %lld left",
            (long long)place_need(question->pool, (enum place_dimension)full),
            unit_of((enum place_dimension)full), name,
            (long long)(place_capacity(node, (enum place_dimension)full) -
                        place_used(node, (enum place_dimension)full)),
            (long long)place_capacity(node, (enum place_dimension)full));
        break;
    case PLACE_RULES:
        ph_text_format(out, size, "no rule forbids %s", name);
        break;
    }
}
