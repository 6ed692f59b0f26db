/*
 * One pool: the best node, and what is to be said of every node. See place.h.
 */
#include "manager/place/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

long ph_place_choose(const struct ph_place_cluster *cluster,
    const struct ph_place_question *question, char *reason, size_t reason_size)
{
    struct place_view view = {0};
    struct place_asked asked;
    struct place_rating best;
    long hope;

    place_view_init(&view, cluster, question);
    place_ask(&view, question, &asked);
    if (question->only != NULL && place_find(cluster, question->only) < 0) {
        ph_text_format(reason, reason_size, "there is no node %s", question->only);
        return -1;
    }
    long index = place_best(&view, &asked, &best, &hope);

    if (index >= 0)
        place_say_chosen(&view, &asked, (size_t)index, &best, reason, reason_size);
    else
        place_say_none(&view, &asked, hope, reason, reason_size);
    return index;
}

static int explain_node(const struct place_view *view, const struct place_asked *asked,
    size_t index, struct ph_candidate *candidate)
{
    const struct ph_place_node *node = place_node(view, index);
    struct place_rating rating;
    char text[512];

    place_rate(view, asked, index, &rating);
    ph_text_format(candidate->node, sizeof candidate->node, "%s", node->node->name);
    candidate->possible = rating.rule == PLACE_RULES;
    candidate->score = rating.score;
    if (candidate->possible)
        return place_say_score(view, asked, index, &rating, &candidate->reasons);
    place_say_forbidden(view, asked, index, rating.rule, text, sizeof text);
    return ph_texts_add(&candidate->reasons, text);
}

int ph_place_explain(const struct ph_place_cluster *cluster,
    const struct ph_place_question *question, struct ph_candidate_list *out)
{
    struct place_view view = {0};
    struct place_asked asked;
    long chosen = -1;

    place_view_init(&view, cluster, question);
    place_ask(&view, question, &asked);
    for (size_t i = 0; i < out->count; i++)
        ph_record_fini(&ph_record_candidate, &out->items[i]);
    free(out->items);
    *out = (struct ph_candidate_list){0};
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct ph_candidate *candidate =
            ph_many_add(&ph_record_candidate, (struct ph_many *)(void *)out);

        if (candidate == NULL || explain_node(&view, &asked, i, candidate) != 0)
            return -ENOMEM;
        if (candidate->possible && (chosen < 0 || candidate->score > out->items[chosen].score))
            chosen = (long)i;
    }
    if (asked.here >= 0)
        chosen = asked.here;
    if (chosen >= 0)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): those were freed, these are new */
        out->items[chosen].chosen = true;
    return 0;
}
