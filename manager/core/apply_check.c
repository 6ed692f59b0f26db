/*
 * Whether declarations are sound: in themselves, among each other, and against the inventory.
 * Changes nothing. The first fault is reported, with its place as a path: "pools[3].vms[0].command[2]".
 *
 * Accepted on purpose: words in allow and prefer that match no node, and more copies than there are
 * nodes. Nodes may come later; until then the pool's reason says what it misses.
 */
#include "manager/core/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int core_apply_fault(const struct core_apply_place *at, const char *field, const char *format, ...)
{
    char path[128], text[900], name[80];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    ph_text_format(path, sizeof path, "pools[%zu].%s", at->pool, field);
    ph_text_printable(name, sizeof name, at->spec->name);
    return ph_error_set(&at->applying->error, PH_BAD_INPUT, path, "pool %s: %s", name, text);
}

/* ---- the pool's own fields ---- */
static bool time_of_day(const char *text)
{
    return strlen(text) == 5 && text[2] == ':' && text[0] >= '0' && text[0] <= '2' &&
           text[1] >= '0' && text[1] <= (text[0] == '2' ? '3' : '9') && text[3] >= '0' &&
           text[3] <= '5' && text[4] >= '0' && text[4] <= '9';
}

static int check_node_words(
    const struct core_apply_place *at, const char *list, const struct ph_texts *words)
{
    char field[64], said[80];

    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];

        ph_text_format(field, sizeof field, "%s[%zu]", list, i);
        if (!ph_name_valid(word) && (strchr(word, '=') == NULL || word[0] == '='))
            return core_apply_fault(at, field,
                "\"%s\" must be a node's name, or a label such as rack=a",
                ph_text_printable(said, sizeof said, word));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(words->items[j], word) == 0)
                return core_apply_fault(at, field, "%s is named twice", word);
        }
    }
    return 0;
}

static int check_copying(const struct core_apply_place *at)
{
    const struct ph_pool_spec *spec = at->spec;
    long long loss = spec->max_data_loss_s, interval = spec->sync_interval_s;

    if (loss == 0 || spec->copies == 0)
        return 0;
    if (interval == 0)
        return core_apply_fault(at, "sync_interval_s",
            "max_data_loss_s is %lld, and with sync_interval_s 0 copies are made only when the "
            "pool "
            "moves: every take-over would wait for an operator; it must be 1 to %lld",
            loss, loss);
    if (loss < interval)
        return core_apply_fault(at, "max_data_loss_s",
            "max_data_loss_s (%lld) must be at least sync_interval_s (%lld): a copy may be that "
            "old "
            "just before the next one",
            loss, interval);
    return 0;
}

static int check_failback(const struct core_apply_place *at)
{
    const char *when = core_text(at->spec->failback_at);
    char said[32];

    if (at->spec->failback == PH_FAILBACK_AT && !time_of_day(when))
        return core_apply_fault(at, "failback_at",
            "\"%s\" must be a time of day, HH:MM from 00:00 to 23:59",
            ph_text_printable(said, sizeof said, when));
    if (at->spec->failback != PH_FAILBACK_AT && when[0] != '\0')
        return core_apply_fault(at, "failback_at", "a time of day is for failback: at");
    return 0;
}

/* ---- among each other ---- */
/* The rules another pool will have: the file's, else the inventory's. False: there will be no such pool. */
static bool rules_of(const struct core_applying *applying, const char *name,
    const struct ph_texts **together_out, const struct ph_texts **apart_out)
{
    const struct ph_pool_spec *spec = ph_map_get(&applying->named, name);
    const struct core_pool *pool = core_find_pool(applying->core, name);

    if (spec != NULL) {
        *together_out = &spec->together;
        *apart_out = &spec->apart;
        return true;
    }
    if (pool == NULL || core_removing(pool) || applying->asked->prune)
        return false;
    *together_out = &pool->row.together;
    *apart_out = &pool->row.apart;
    return true;
}

static int check_relations(
    const struct core_apply_place *at, const char *list, const struct ph_texts *names, bool apart)
{
    const struct ph_texts *their_together, *their_apart;
    const char *name = at->spec->name;
    char field[64], said[80];

    for (size_t i = 0; i < names->count; i++) {
        const char *other = names->items[i];

        ph_text_format(field, sizeof field, "%s[%zu]", list, i);
        ph_text_printable(said, sizeof said, other);
        if (strcmp(other, name) == 0)
            return core_apply_fault(
                at, field, "a pool cannot be %s itself", apart ? "apart from" : "together with");
        for (size_t j = 0; j < i; j++) {
            if (strcmp(names->items[j], other) == 0)
                return core_apply_fault(at, field, "%s is named twice", said);
        }
        if (!rules_of(at->applying, other, &their_together, &their_apart))
            return core_apply_fault(at, field,
                "there is no pool %s, neither in the file nor declared before%s", said,
                at->applying->asked->prune ? " (and not to be pruned)" : "");
        if (apart && (ph_texts_contain(&at->spec->together, other) ||
                         ph_texts_contain(their_together, name)))
            return core_apply_fault(
                at, field, "%s and %s cannot be both together and apart", name, other);
        if (!apart && ph_texts_contain(their_apart, name))
            return core_apply_fault(
                at, field, "%s and %s cannot be both together and apart", name, other);
    }
    return 0;
}

static int check_pool(const struct core_apply_place *at)
{
    struct core_applying *applying = at->applying;
    const struct core_pool *current = core_find_pool(applying->core, at->spec->name);
    int rv;

    if (current != NULL && core_removing(current)) {
        core_apply_fault(at, "name",
            "it is being removed (job %lld); declare it again when that is done",
            (long long)(current->job != NULL ? current->job->row.id : 0));
        applying->error.code = PH_STATE_FORBIDS;
        return -EBUSY;
    }
    if ((rv = core_apply_check_driver(at)) != 0 || (rv = check_copying(at)) != 0 ||
        (rv = check_failback(at)) != 0 ||
        (rv = check_node_words(at, "allow", &at->spec->allow)) != 0 ||
        (rv = check_node_words(at, "prefer", &at->spec->prefer)) != 0 ||
        (rv = check_relations(at, "together", &at->spec->together, false)) != 0 ||
        (rv = check_relations(at, "apart", &at->spec->apart, true)) != 0)
        return rv;
    return core_apply_check_vms(at);
}

/* What is pruned must be free to go, as core_remove_begin() has it: asked before anything is changed.
 * (With prune no pool stays but the file's, whose rules check_relations() has seen.) */
static int check_prune(struct core_applying *applying)
{
    const struct ph_core *core = applying->core;

    for (size_t i = 0; applying->asked->prune && i < core->pools.count; i++) {
        const struct core_pool *pool = core->pools.items[i].value;

        if (!core_removing(pool) && ph_map_get(&applying->named, pool->row.name) == NULL &&
            !core_may_remove(pool, &applying->error))
            return -EBUSY;
    }
    return 0;
}

/* Names first: the rules about other pools need them all. */
static int note_names(struct core_applying *applying)
{
    const struct ph_pool_spec_list *pools = &applying->asked->pools;
    size_t total = applying->core->pools.count;

    for (size_t i = 0; i < pools->count; i++) {
        const struct ph_pool_spec *spec = &pools->items[i];
        struct core_apply_place at = {applying, i, spec};
        union {
            const struct ph_pool_spec *borrowed;
            void *value; /* the map hands it back as const */
        } entry = {.borrowed = spec};

        if (!ph_name_valid(spec->name))
            return core_apply_fault(&at, "name",
                "a name is 1 to %d of a-z 0-9 . _ - and begins with a letter or a digit",
                PH_NAME_BYTES_MAX);
        int rv = ph_map_put(&applying->named, spec->name, entry.value);

        if (rv == -EEXIST)
            return core_apply_fault(&at, "name", "it is declared twice in the file");
        if (rv != 0)
            return rv;
        total += core_find_pool(applying->core, spec->name) == NULL;
    }
    if (total > PH_POOLS_MAX)
        return ph_error_set(&applying->error, PH_BAD_INPUT, "pools",
            "there would be %zu pools; %d is the most", total, PH_POOLS_MAX);
    return 0;
}

int core_apply_check(struct core_applying *applying)
{
    const struct ph_pool_spec_list *pools = &applying->asked->pools;
    int rv = ph_record_check(&ph_record_apply, applying->asked, &applying->error);

    if (rv == 0)
        rv = note_names(applying);
    for (size_t i = 0; rv == 0 && i < pools->count; i++)
        rv = check_pool(&(struct core_apply_place){applying, i, &pools->items[i]});
    return rv == 0 ? check_prune(applying) : rv;
}
