/*
 * An ordered map from text to pointer: a sorted vector. Pure.
 *
 * Iteration is in byte order of the keys, never in hash order, so that a run with the same input
 * has the same effects. Look-up O(log n), insert O(n) of a 24-byte move, which for the 20,000
 * nodes and 100,000 pools of PH_*_MAX is microseconds; appending in order is O(1). The first bytes of
 * each key stand in the vector, so that most of a look-up touches nothing else.
 * Borrows keys: a key usually lives in the value it maps to and must not move or change.
 */
#ifndef PH_BASE_MAP_H
#define PH_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct ph_map_item {
    const char *key;
    void *value;
    uint64_t start; /* the first eight bytes of the key, the first one highest */
};

struct ph_map {
    size_t count;
    size_t room;
    struct ph_map_item *items; /* read-only outside map.c; items[0..count) sorted by key */
};

void *ph_map_get(const struct ph_map *map, const char *key); /* NULL when absent */
/* Adds key -> value. 0, -EEXIST (unchanged), -ENOMEM (unchanged). value is not NULL. */
int ph_map_put(struct ph_map *map, const char *key, void *value);
void *ph_map_remove(struct ph_map *map, const char *key); /* the value it had, or NULL */
/* Index of the first key >= `key`; map->count when there is none. */
size_t ph_map_lower(const struct ph_map *map, const char *key);
void ph_map_fini(struct ph_map *map); /* frees the vector, not the values */

#endif
