/*
 * Who names whom in `together` and `apart`. See place.h.
 */
#include "manager/place/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ph_place_relation *relation_of(struct ph_map *relations, const char *name)
{
    struct ph_place_relation *relation = ph_map_get(relations, name);

    if (relation != NULL)
        return relation;
    relation = calloc(1, sizeof *relation);
    if (relation == NULL)
        return NULL;
    ph_text_format(relation->name, sizeof relation->name, "%s", name);
    if (ph_map_put(relations, relation->name, relation) != 0) {
        free(relation);
        return NULL;
    }
    return relation;
}

static void texts_remove(struct ph_texts *texts, const char *item)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (strcmp(texts->items[i], item) == 0) {
            free(texts->items[i]);
            memmove(&texts->items[i], &texts->items[i + 1],
                (texts->count - i - 1) * sizeof texts->items[0]);
            texts->count--;
            return;
        }
    }
}

static void relation_free(struct ph_place_relation *relation)
{
    ph_texts_fini(&relation->apart_by);
    ph_texts_fini(&relation->together_by);
    free(relation);
}

int ph_place_relate(struct ph_map *relations, const struct ph_pool *pool)
{
    const struct ph_texts *lists[] = {&pool->apart, &pool->together};

    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            struct ph_place_relation *relation = relation_of(relations, lists[l]->items[i]);

            if (relation == NULL)
                return -ENOMEM;
            struct ph_texts *by = l == 0 ? &relation->apart_by : &relation->together_by;

            if (!ph_texts_contain(by, pool->name) && ph_texts_add(by, pool->name) != 0)
                return -ENOMEM;
        }
    }
    return 0;
}

void ph_place_unrelate(struct ph_map *relations, const struct ph_pool *pool)
{
    const struct ph_texts *lists[] = {&pool->apart, &pool->together};

    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            struct ph_place_relation *relation = ph_map_get(relations, lists[l]->items[i]);

            if (relation == NULL)
                continue;
            texts_remove(l == 0 ? &relation->apart_by : &relation->together_by, pool->name);
            if (relation->apart_by.count == 0 && relation->together_by.count == 0) {
                ph_map_remove(relations, relation->name);
                relation_free(relation);
            }
        }
    }
}

void ph_place_relations_fini(struct ph_map *relations)
{
    for (size_t i = 0; i < relations->count; i++)
        relation_free(relations->items[i].value);
    ph_map_fini(relations);
}
