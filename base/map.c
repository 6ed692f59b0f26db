#include "base/map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"

static uint64_t start_of(const char *key)
{
    uint64_t start = 0;

    for (unsigned i = 0; i < 8 && key[i] != '\0'; i++)
        start |= (uint64_t)(unsigned char)key[i] << (56 - 8 * i);
    return start;
}

/* As strcmp() of the item's key and the other one. */
static int compare(const struct ph_map_item *item, const char *key, uint64_t start)
{
    if (item->start != start)
        return item->start < start ? -1 : 1;
    return strcmp(item->key, key);
}

static size_t lower(const struct ph_map *map, const char *key, uint64_t start)
{
    size_t low = 0, high = map->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&map->items[middle], key, start) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t ph_map_lower(const struct ph_map *map, const char *key)
{
    return lower(map, key, start_of(key));
}

static bool is_at(const struct ph_map *map, size_t at, const char *key, uint64_t start)
{
    return at < map->count && compare(&map->items[at], key, start) == 0;
}

void *ph_map_get(const struct ph_map *map, const char *key)
{
    uint64_t start = start_of(key);
    size_t at = lower(map, key, start);

    return is_at(map, at, key, start) ? map->items[at].value : NULL;
}

int ph_map_put(struct ph_map *map, const char *key, void *value)
{
    uint64_t start = start_of(key);
    size_t at;

    ph_assert(value != NULL);
    /* Appending in order is the usual case: a sorted table being loaded. */
    if (map->count > 0 && compare(&map->items[map->count - 1], key, start) < 0)
        at = map->count;
    else
        at = lower(map, key, start);
    if (is_at(map, at, key, start))
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
    map->items[at] = (struct ph_map_item){key, value, start};
    map->count++;
    return 0;
}

void *ph_map_remove(struct ph_map *map, const char *key)
{
    uint64_t start = start_of(key);
    size_t at = lower(map, key, start);

    if (!is_at(map, at, key, start))
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
