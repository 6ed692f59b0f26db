#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"

size_t ph_map_lower(const struct ph_map *map, const char *key)
{
    size_t low = 0, high = map->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(map->items[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *ph_map_get(const struct ph_map *map, const char *key)
{
    size_t at = ph_map_lower(map, key);

    return at < map->count && strcmp(map->items[at].key, key) == 0 ? map->items[at].value : NULL;
}

int ph_map_put(struct ph_map *map, const char *key, void *value)
{
    size_t at;

    ph_assert(value != NULL);
    /* Appending in order is the usual case: a sorted table being loaded. */
    if (map->count > 0 && strcmp(map->items[map->count - 1].key, key) < 0)
        at = map->count;
    else
        at = ph_map_lower(map, key);
    if (at < map->count && strcmp(map->items[at].key, key) == 0)
        return -EEXIST;
    if (map->count == map->room) {
        size_t room = map->room == 0 ? 8 : map->room * 2;
        struct ph_map_item *items = realloc(map->items, room * sizeof *items);
        if (items == NULL)
            return -ENOMEM;
        map->items = items;
        map->room = room;
    }
    memmove(map->items + at + 1, map->items + at, (map->count - at) * sizeof *map->items);
    map->items[at] = (struct ph_map_item){key, value};
    map->count++;
    return 0;
}

void *ph_map_remove(struct ph_map *map, const char *key)
{
    size_t at = ph_map_lower(map, key);

    if (at == map->count || strcmp(map->items[at].key, key) != 0)
        return NULL;
    void *value = map->items[at].value;
    map->count--;
    memmove(map->items + at, map->items + at + 1, (map->count - at) * sizeof *map->items);
    return value;
}

void ph_map_fini(struct ph_map *map)
{
    free(map->items);
    *map = (struct ph_map){0, 0, NULL};
}
