/*
 * Voter sets: for each node who may extend its lease while the manager is silent. Chosen here, told in a
 * voter.list, confirmed by the node's beats. See docs/failure-model.md, "Witnesses".
 *
 *   version grows with every change; until the node's beat echoes it, `before` keeps the witnesses that
 *   it may still go by. Promises (promise.c) are about versions: one that was promised away is renewed.
 */
#include "manager/core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Nodes looked at for another failure domain; in larger clusters a set that has none is not looked at
 * again each time that a node comes. */
#define LOOK_AT_MOST 512

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* ---- who may be a witness ---- */
static bool stays(const struct core_node *node)
{
    return node != NULL && node->row.granting && node->row.admin != PH_ADMIN_RETIRED &&
           text_or_empty(node->row.endpoint)[0] != '\0' &&
           text_or_empty(node->row.public_key)[0] != '\0';
}

static bool eligible(const struct core_node *node)
{
    return stays(node) && node->row.state == PH_NODE_ONLINE && node->confirmed;
}

/* Where it would fail together with others: the value of that label, or itself alone. */
static const char *domain(const struct ph_core *core, const struct core_node *node)
{
    size_t bytes = strlen(core->config.failure_domain);

    for (size_t i = 0; bytes > 0 && i < node->row.labels.count; i++) {
        const char *label = node->row.labels.items[i];

        if (strncmp(label, core->config.failure_domain, bytes) == 0 && label[bytes] == '=')
            return label + bytes + 1;
    }
    return node->row.name;
}

/* Whether none of the set, nor the node itself, is in the candidate's domain. */
static bool apart(const struct ph_core *core, const struct core_node *node,
    const struct ph_texts *set, const struct core_node *candidate)
{
    const char *theirs = domain(core, candidate);

    if (strcmp(theirs, domain(core, node)) == 0)
        return false;
    for (size_t i = 0; i < set->count; i++) {
        const struct core_node *member = core_find_node(core, set->items[i]);

        if (member != NULL && strcmp(theirs, domain(core, member)) == 0)
            return false;
    }
    return true;
}

/* Four witnesses where there are so many, so that two may fail besides the manager; else two; a pair of
 * nodes has one each. Three would not survive more than two do. */
static size_t wanted(const struct ph_core *core, const struct core_node *node)
{
    size_t others = core->eligible_count - (eligible(node) ? 1 : 0);

    return others >= PH_WITNESSES_MAX ? PH_WITNESSES_MAX : others >= 2 ? 2 : others;
}

static void add(struct ph_core *core, struct ph_texts *set, const char *name)
{
    if (ph_texts_add(set, name) != 0)
        core->no_memory = true;
}

/* In a ring from the node on, so that the duty is spread evenly; other failure domains first. */
static void fill(struct ph_core *core, const struct core_node *node, struct ph_texts *set,
    size_t count, bool apart_only)
{
    size_t all = core->nodes.count, begin = ph_map_lower(&core->nodes, node->row.name);

    for (size_t i = 1; i < all && i < LOOK_AT_MOST && set->count < count; i++) {
        const struct core_node *other = core->nodes.items[(begin + i) % all].value;

        if (eligible(other) && !ph_texts_contain(set, other->row.name) &&
            other->served.count < PH_SERVED_MAX && (!apart_only || apart(core, node, set, other)))
            add(core, set, other->row.name);
    }
}

/* Those it has go first, so that a set changes only when something is gained. */
static void keep(struct ph_core *core, const struct core_node *node, struct ph_texts *set,
    size_t count, bool apart_only)
{
    for (size_t i = 0; i < node->voters.witnesses.count && set->count < count; i++) {
        const char *name = node->voters.witnesses.items[i];
        const struct core_node *other = core_find_node(core, name);

        if (stays(other) && !ph_texts_contain(set, name) &&
            (!apart_only || apart(core, node, set, other)))
            add(core, set, name);
    }
}

/* Whether all are of different failure domains. */
static bool choose(struct ph_core *core, const struct core_node *node, struct ph_texts *set)
{
    size_t count = wanted(core, node), apart_count;

    keep(core, node, set, count, true);
    fill(core, node, set, count, true);
    apart_count = set->count;
    keep(core, node, set, count, false);
    fill(core, node, set, count, false);
    return apart_count == set->count;
}

/* ---- the set of a node ---- */
static void serve(struct ph_core *core, struct core_node *node, bool more)
{
    for (size_t i = 0; i < node->voters.witnesses.count; i++) {
        struct core_node *witness = core_find_node(core, node->voters.witnesses.items[i]);

        if (witness == NULL)
            continue;
        witness->list_check = 0;
        if (!more)
            ph_map_remove(&witness->served, node->row.name);
        else if (ph_map_put(&witness->served, node->row.name, node) == -ENOMEM)
            core->no_memory = true;
    }
}

static void save(struct ph_core *core, struct core_node *node)
{
    ph_text_format(node->voters.node, sizeof node->voters.node, "%s", node->row.name);
    node->list_check = 0;
    core_save(core, &ph_record_voter_set, &node->voters);
}

/* The next version, of these witnesses (taken over). What the node may go by meanwhile is kept. */
static void set_next(struct ph_core *core, struct core_node *node, struct ph_texts *witnesses)
{
    struct ph_voter_set *voters = &node->voters;

    serve(core, node, false);
    if (voters->before.count == 0) {
        struct ph_texts none = voters->before;

        voters->before = voters->witnesses;
        voters->witnesses = none;
    }
    ph_texts_fini(&voters->witnesses);
    voters->witnesses = *witnesses;
    *witnesses = (struct ph_texts){0};
    voters->version++;
    node->promise_count = 0;
    serve(core, node, true);
    save(core, node);
}

/* Nobody knows whom else it may ask. */
static void unknown(struct ph_core *core, struct core_node *node)
{
    if (!ph_texts_contain(&node->voters.before, CORE_VOTERS_UNKNOWN))
        add(core, &node->voters.before, CORE_VOTERS_UNKNOWN);
}

static bool in_force(const struct core_node *node)
{
    return node->voters.before.count == 0;
}

void core_voters_renew(struct ph_core *core, struct core_node *node)
{
    struct ph_texts same = {0};

    if (ph_texts_copy(&same, &node->voters.witnesses) != 0)
        core->no_memory = true;
    set_next(core, node, &same);
}

static void look(struct ph_core *core, struct core_node *node)
{
    struct ph_texts set = {0};
    bool all_apart, short_now;

    if (node->row.state != PH_NODE_ONLINE || !node->confirmed || !in_force(node))
        return; /* comes again when it is online, or confirms */
    all_apart = choose(core, node, &set);
    short_now = set.count < PH_WITNESSES_MAX || (!all_apart && core->nodes.count <= LOOK_AT_MOST);
    node->voters_short = short_now;
    node->eligible_seen = core->eligible_changes;
    if (!ph_texts_equal(&set, &node->voters.witnesses))
        set_next(core, node, &set);
    ph_texts_fini(&set);
}

void core_voters_due(struct ph_core *core, struct core_node *node)
{
    if (node->voters_due)
        return;
    if (core->voters_due_count == core->voters_due_room) {
        size_t room = core->voters_due_room == 0 ? 16 : 2 * core->voters_due_room;
        struct core_node **due = realloc(core->voters_due, room * sizeof(struct core_node *));

        if (due == NULL) {
            core->no_memory = true;
            return;
        }
        core->voters_due = due;
        core->voters_due_room = room;
    }
    node->voters_due = true;
    core->voters_due[core->voters_due_count++] = node;
}

/* A node came or went as a witness: it and those it serves are looked at; those that have too few are at
 * their next beat, so that a whole cluster that comes at once costs each node a look or two. */
void core_voters_changed(struct ph_core *core, struct core_node *node)
{
    bool now = eligible(node);

    if (now != node->eligible) {
        node->eligible = now;
        core->eligible_count += now ? 1 : (size_t)-1;
        core->eligible_changes++;
    }
    node->list_check = 0;
    core_voters_due(core, node);
    for (size_t i = 0; i < node->served.count; i++)
        core_voters_due(core, node->served.items[i].value);
}

void core_voters_settle(struct ph_core *core)
{
    if (!core->ready)
        return;
    /* What is looked at here may make others due. */
    for (size_t i = 0; i < core->voters_due_count; i++) {
        struct core_node *node = core->voters_due[i];

        if (node != NULL) {
            node->voters_due = false;
            look(core, node);
        }
    }
    core->voters_due_count = 0;
}

void core_voters_forget(struct ph_core *core, struct core_node *node)
{
    serve(core, node, false);
    for (size_t i = 0; i < core->voters_due_count; i++) {
        if (core->voters_due[i] == node)
            core->voters_due[i] = NULL;
    }
    if (node->eligible) {
        core->eligible_count--;
        core->eligible_changes++;
    }
    for (size_t i = 0; i < node->served.count; i++)
        core_voters_due(core, node->served.items[i].value);
    if (node->voters.version > 0)
        core_remove(core, &ph_record_voter_set, &node->voters);
}

static int64_t survives(const struct ph_texts *witnesses)
{
    size_t members = witnesses->count + 1;

    if (members == 1 || ph_texts_contain(witnesses, CORE_VOTERS_UNKNOWN))
        return -1;
    return (int64_t)(members - (members / 2 + 1));
}

int64_t core_voters_survive(const struct core_node *node)
{
    int64_t now = survives(&node->voters.witnesses);
    int64_t before = in_force(node) ? now : survives(&node->voters.before);

    return now < before ? now : before;
}

/* ---- start ---- */
int core_voters_load(struct ph_core *core, const struct ph_voter_set *row, struct ph_error *error)
{
    struct core_node *node = core_find_node(core, row->node);

    if (node == NULL)
        return ph_error_set(
            error, PH_BAD_INPUT, "node", "the voter set of %s: there is no such node", row->node);
    return ph_record_copy(&ph_record_voter_set, &node->voters, row);
}

/* An inventory that is older than what nodes go by (--advance-term says so) does not know whom they ask,
 * until they say so. */
void core_voters_ready(struct ph_core *core)
{
    bool old = core_meta_get(core, PH_META_VOTERS_UNKNOWN)[0] != '\0';

    if (old)
        core_meta_forget(core, PH_META_VOTERS_UNKNOWN); /* saved together with the sets below */
    for (size_t i = 0; i < core->nodes.count; i++) {
        struct core_node *node = core->nodes.items[i].value;

        if (node->voters.version == 0)
            continue;
        serve(core, node, true);
        if (old) {
            unknown(core, node);
            core_save(core, &ph_record_voter_set, &node->voters);
        }
        /* The manager before may have asked for promises. */
        node->promises_asked = node->row.state != PH_NODE_ONLINE;
    }
}

/* ---- telling and confirming ---- */
static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u; /* FNV-1a */
    return (hash ^ 0xff) * 1099511628211u;
}

static void add_peer(
    struct ph_core *core, struct ph_many *list, const struct core_node *node, uint64_t *hash)
{
    struct ph_peer *peer = ph_many_add(&ph_record_peer, list);

    if (peer == NULL || ph_set_text(&peer->endpoint, node->row.endpoint) != 0 ||
        ph_set_text(&peer->public_key, node->row.public_key) != 0) {
        core->no_memory = true;
        return;
    }
    ph_text_format(peer->node, sizeof peer->node, "%s", node->row.name);
    *hash = mix(mix(mix(*hash, node->row.name), text_or_empty(node->row.endpoint)),
        text_or_empty(node->row.public_key));
}

static void list_make(
    struct ph_core *core, const struct core_node *node, struct ph_voter_list *list)
{
    uint64_t hash = 14695981039346656037u;

    *list = (struct ph_voter_list){
        .term = core->term, .manager = core->manager_id, .voters = node->voters.version};
    for (size_t i = 0; i < node->voters.witnesses.count; i++) {
        const struct core_node *witness = core_find_node(core, node->voters.witnesses.items[i]);

        if (witness != NULL)
            add_peer(core, (struct ph_many *)(void *)&list->witnesses, witness, &hash);
    }
    hash = mix(hash, "/");
    for (size_t i = 0; i < node->served.count && i < PH_SERVED_MAX; i++)
        add_peer(core, (struct ph_many *)(void *)&list->serves, node->served.items[i].value, &hash);
    hash = hash * 31 + (uint64_t)node->voters.version;
    list->check = (int64_t)(hash >> 1) | 1;
}

static void list_free(struct ph_voter_list *list)
{
    list->manager = NULL; /* the core's */
    ph_record_fini(&ph_record_voter_list, list);
}

void core_voters_tell(struct ph_core *core, struct core_node *node)
{
    struct ph_voter_list list;

    if (node->voters_short && node->eligible_seen != core->eligible_changes)
        core_voters_due(core, node);
    if ((node->list_check != 0 && node->list_check == node->list_taken) ||
        (node->voters.version == 0 && node->served.count == 0) ||
        (node->list_check != 0 && core->now_ms - node->list_sent_ms < core->config.timing.lease_ms))
        return;
    list_make(core, node, &list);
    node->list_check = list.check;
    node->list_sent_ms = core->now_ms;
    if (list.check != node->list_taken)
        core_send(core, node->row.name, PH_MSG_VOTER_LIST, &list);
    list_free(&list);
}

/* It goes by a version that this inventory, which must be an old one, knows nothing of. */
void core_voters_hello(struct ph_core *core, struct core_node *node, int64_t version)
{
    node->list_taken = 0; /* it is told again: a new process may have less */
    if (version <= node->voters.version)
        return;
    node->voters.version = version;
    unknown(core, node);
    core_voters_renew(core, node);
}

void core_voters_ok(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_voter_ok *ok = in->body;
    struct core_node *node = core_find_node(core, in->sender);

    if (node == NULL || core->outdated)
        return;
    node->list_taken = ok->check;
    if (ok->voters == node->voters.version && !in_force(node)) {
        ph_texts_fini(&node->voters.before);
        core_save(core, &ph_record_voter_set, &node->voters);
        core_voters_due(core, node);
    }
}
