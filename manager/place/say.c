/*
 * Why there: sentences for people. (Why not there is in rules.c, beside the rules.)
 */
#include "manager/place/internal.h"

#include <errno.h>
#include <string.h>

static void say_age(char *out, size_t size, int64_t age_ms)
{
    if (age_ms < 0 || age_ms == INT64_MAX)
        ph_text_format(out, size, "of unknown age");
    else if (age_ms < 120000)
        ph_text_format(out, size, "%lld.%lld s old", (long long)(age_ms / 1000),
            (long long)(age_ms / 100 % 10));
    else
        ph_text_format(out, size, "%lld min old", (long long)(age_ms / 60000));
}

static size_t append(char *out, size_t size, size_t length, const char *text)
{
    return length +
           ph_text_format(out + length, size - length, "%s%s", length > 0 ? ", " : "", text);
}

void place_say_chosen(const struct place_view *view, const struct place_asked *asked, size_t index,
    const struct place_rating *rating, char *out, size_t size)
{
    const char *name = place_node(view, index)->node->name;
    char text[160], age[48];
    size_t length = 0;

    if (size == 0)
        return;
    out[0] = '\0';
    if (asked->question->only != NULL)
        length = append(out, size, length, "an operator asked for it");
    if (asked->question->data_needed && rating->copy != NULL) {
        say_age(age, sizeof age, rating->copy->age_ms);
        ph_text_format(text, sizeof text, "%s keeps %s copy (%s)", name,
            rating->copy->age_ms <= asked->freshest->age_ms ? "the freshest complete"
                                                            : "a complete",
            age);
        length = append(out, size, length, text);
    }
    if (rating->prefer > 0) {
        ph_text_format(text, sizeof text, "%s is preferred (%s)", name,
            asked->question->pool->prefer.items[rating->prefer - 1]);
        length = append(out, size, length, text);
    }
    if (rating->together > 0) {
        ph_text_format(text, sizeof text, "%zu pool%s it belongs together with %s there",
            rating->together, rating->together == 1 ? "" : "s",
            rating->together == 1 ? "is" : "are");
        length = append(out, size, length, text);
    }
    if (!asked->question->data_needed && rating->copy != NULL && !rating->crowded) {
        say_age(age, sizeof age, rating->copy->age_ms);
        ph_text_format(text, sizeof text, "%s has a complete copy (%s)", name, age);
        length = append(out, size, length, text);
    }
    if (length == 0) {
        ph_text_format(text, sizeof text, "%s leaves the cluster most evenly loaded", name);
        append(out, size, length, text);
    }
}

void place_say_none(const struct place_view *view, const struct place_asked *asked, long hope,
    char *out, size_t size)
{
    static const char *const why[PLACE_RULES] = {"it leaves", "not asked for", "not allowed",
        "not available", "without the driver", "without a complete copy", "apart from another pool",
        "too full"};
    size_t counts[PLACE_RULES] = {0};
    size_t nodes = view->cluster->node_count;

    if (hope < 0) {
        ph_text_format(out, size, "there is no node");
        return;
    }
    for (size_t i = 0; i < nodes; i++) {
        enum place_rule rule = place_forbidden(view, asked, i);

        if ((long)i != hope && rule != PLACE_RULES)
            counts[rule]++;
    }
    char last[512];

    place_say_forbidden(
        view, asked, (size_t)hope, place_forbidden(view, asked, (size_t)hope), last, sizeof last);
    size_t length = ph_text_format(out, size, "no node can take it: %s", last);
    const char *before = "; others: ";

    for (int i = 0; i < PLACE_RULES; i++) {
        if (counts[i] == 0 || i == PLACE_RULE_FROM)
            continue;
        length +=
            ph_text_format(out + length, size - length, "%s%zu %s", before, counts[i], why[i]);
        before = ", ";
    }
}

int place_say_unknown(const struct ph_place_node *node, struct ph_texts *out)
{
    static const char *const what[] = {"processors", "memory", "disk"};
    char text[160];

    for (int i = PLACE_CPU; i <= PLACE_DISK; i++) {
        if (place_capacity(node, (enum place_dimension)i) != 0)
            continue;
        ph_text_format(text, sizeof text, "%s did not say how much %s it has: no limit is applied",
            node->node->name, what[i]);
        if (ph_texts_add(out, text) != 0)
            return -ENOMEM;
    }
    return 0;
}

int place_say_score(const struct place_view *view, const struct place_asked *asked, size_t index,
    const struct place_rating *rating, struct ph_texts *out)
{
    const struct ph_place_node *node = place_node(view, index);
    const char *name = node->node->name;
    char text[256], age[48];

    if ((long)index == asked->here && !node->available) {
        ph_text_format(text, sizeof text, "it is there; %s would get no new pools", name);
        if (ph_texts_add(out, text) != 0)
            return -ENOMEM;
    }
    if (rating->prefer > 0) {
        ph_text_format(text, sizeof text, "preferred: matches %s (choice %zu)",
            asked->question->pool->prefer.items[rating->prefer - 1], rating->prefer);
        if (ph_texts_add(out, text) != 0)
            return -ENOMEM;
    } else if (asked->question->pool->prefer.count > 0) {
        ph_text_format(text, sizeof text, "not among its preferred nodes");
        if (ph_texts_add(out, text) != 0)
            return -ENOMEM;
    }
    if (rating->together > 0) {
        ph_text_format(
            text, sizeof text, "%zu of the pools it belongs together with", rating->together);
        if (ph_texts_add(out, text) != 0)
            return -ENOMEM;
    }
    if (rating->copy != NULL) {
        say_age(age, sizeof age, rating->copy->age_ms);
        ph_text_format(text, sizeof text, "has a complete copy (%s)%s%s", age,
            rating->copy == asked->freshest ? ", the freshest" : "",
            rating->crowded ? "; not counted, as the node carries much more than the mean" : "");
        if (ph_texts_add(out, text) != 0)
            return -ENOMEM;
    }
    ph_text_format(text, sizeof text,
        "spread of load in the cluster would be %.4f (0 is even); %s has %lld pools, mean %.1f",
        rating->spread, name, (long long)node->pools, view->mean_pools);
    if (ph_texts_add(out, text) != 0)
        return -ENOMEM;
    return place_say_unknown(node, out);
}
