#include "agent/guard/table.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/guard/process.h"
#include "base/text.h"

#define TABLE_HEAD "poolherd-guard-table 1 "

static const char *const kind_words[] = {"mark", "cgroup", "group", "mount", "volume", "release"};

static size_t lower(const struct ph_guard_table *table, const char *name)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(table->pools[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct ph_guard_pool *ph_guard_table_find(struct ph_guard_table *table, const char *name)
{
    size_t at = lower(table, name);
    return at < table->count && strcmp(table->pools[at].name, name) == 0 ? &table->pools[at] : NULL;
}

struct ph_guard_pool *ph_guard_table_add(struct ph_guard_table *table, const char *name)
{
    size_t at = lower(table, name);
    if (at < table->count && strcmp(table->pools[at].name, name) == 0)
        return &table->pools[at];
    if (table->count >= PH_GUARD_POOLS_MAX)
        return NULL;
    if (table->count == table->room) {
        size_t room = table->room == 0 ? 16 : table->room * 2;
        struct ph_guard_pool *pools = realloc(table->pools, room * sizeof *pools);
        if (pools == NULL)
            return NULL;
        table->pools = pools;
        table->room = room;
    }
    memmove(&table->pools[at + 1], &table->pools[at], (table->count - at) * sizeof *table->pools);
    table->pools[at] = (struct ph_guard_pool){.id = ++table->last_id, .asker = -1};
    ph_text_format(table->pools[at].name, sizeof table->pools[at].name, "%s", name);
    table->count++;
    return &table->pools[at];
}

static void pool_fini(struct ph_guard_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        free(pool->items[i].text);
    free(pool->items);
}

void ph_guard_table_remove(struct ph_guard_table *table, const char *name)
{
    size_t at = lower(table, name);
    if (at >= table->count || strcmp(table->pools[at].name, name) != 0)
        return;
    pool_fini(&table->pools[at]);
    table->count--;
    memmove(&table->pools[at], &table->pools[at + 1], (table->count - at) * sizeof *table->pools);
}

void ph_guard_table_fini(struct ph_guard_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        pool_fini(&table->pools[i]);
    free(table->pools);
    *table = (struct ph_guard_table){.last_id = table->last_id};
}

/* A line of the table holds one text: a path with a line break in it could forge another. */
static bool text_valid(enum ph_guard_item_kind kind, const char *text)
{
    size_t bytes = strlen(text);
    if (bytes == 0 || bytes > (kind == PH_ITEM_MARK ? PH_MARK_BYTES_MAX : PATH_MAX - 1))
        return false;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return kind == PH_ITEM_MARK || text[0] == '/';
}

int ph_guard_pool_add(struct ph_guard_pool *pool, enum ph_guard_item_kind kind, const char *text,
    pid_t group, uint64_t start_time)
{
    char *copy = NULL;
    if (kind == PH_ITEM_GROUP ? group <= 1 : !text_valid(kind, text))
        return -EINVAL;
    for (size_t i = 0; i < pool->count; i++) {
        const struct ph_guard_item *item = &pool->items[i];
        if (item->kind == kind &&
            (kind == PH_ITEM_GROUP ? item->group == group && item->start_time == start_time
                                   : strcmp(item->text, text) == 0))
            return 0;
    }
    if (pool->count >= PH_GUARD_ITEMS_MAX)
        return -ENOSPC;
    if (pool->count == pool->room) {
        size_t room = pool->room == 0 ? 8 : pool->room * 2;
        struct ph_guard_item *items = realloc(pool->items, room * sizeof *items);
        if (items == NULL)
            return -ENOMEM;
        pool->items = items;
        pool->room = room;
    }
    if (kind != PH_ITEM_GROUP && (copy = strdup(text)) == NULL)
        return -ENOMEM;
    pool->items[pool->count++] = (struct ph_guard_item){kind, group, start_time, copy};
    return 0;
}

void ph_guard_pool_drop(struct ph_guard_pool *pool, size_t index)
{
    free(pool->items[index].text);
    pool->count--;
    memmove(
        &pool->items[index], &pool->items[index + 1], (pool->count - index) * sizeof *pool->items);
}

bool ph_guard_pool_has(const struct ph_guard_pool *pool, enum ph_guard_item_kind kind)
{
    for (size_t i = 0; i < pool->count; i++)
        if (pool->items[i].kind == kind)
            return true;
    return false;
}

char *ph_guard_table_encode(
    const struct ph_guard_table *table, const char *boot_id, size_t *size_out)
{
    char *text = NULL;
    FILE *file = open_memstream(&text, size_out);
    if (file == NULL)
        return NULL;
    fprintf(file, TABLE_HEAD "%s\n", boot_id);
    for (size_t i = 0; i < table->count; i++) {
        const struct ph_guard_pool *pool = &table->pools[i];
        fprintf(file, "pool %s\n", pool->name);
        for (size_t j = 0; j < pool->count; j++) {
            const struct ph_guard_item *item = &pool->items[j];
            if (item->kind == PH_ITEM_GROUP)
                fprintf(file, "group %ld %llu\n", (long)item->group,
                    (unsigned long long)item->start_time);
            else
                fprintf(file, "%s %s\n", kind_words[item->kind], item->text);
        }
    }
    fputs("end\n", file);
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

static int group_add(struct ph_guard_pool *pool, const char *text)
{
    char *end;
    errno = 0;
    long group = strtol(text, &end, 10);
    if (errno != 0 || *end != ' ' || group <= 1 || group > INT_MAX || end[1] < '0' || end[1] > '9')
        return -EBADMSG;
    unsigned long long start_time = strtoull(end + 1, &end, 10);
    if (errno != 0 || *end != '\0')
        return -EBADMSG;
    return ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, (pid_t)group, start_time);
}

static int line_add(struct ph_guard_table *table, struct ph_guard_pool **pool, char *line)
{
    char *text = strchr(line, ' ');
    if (text == NULL)
        return -EBADMSG;
    *text++ = '\0';
    if (strcmp(line, "pool") == 0) {
        if (!ph_name_valid(text))
            return -EBADMSG;
        *pool = ph_guard_table_add(table, text);
        return *pool == NULL ? -ENOMEM : 0;
    }
    if (*pool == NULL)
        return -EBADMSG;
    for (size_t kind = 0; kind < sizeof kind_words / sizeof *kind_words; kind++)
        if (strcmp(line, kind_words[kind]) == 0)
            return kind == PH_ITEM_GROUP
                       ? group_add(*pool, text)
                       : ph_guard_pool_add(*pool, (enum ph_guard_item_kind)kind, text, 0, 0);
    return -EBADMSG;
}

int ph_guard_table_decode(
    struct ph_guard_table *table, const char *boot_id, const char *text, size_t size)
{
    struct ph_guard_pool *pool = NULL;
    int rv = 0;
    bool ended = false;
    char line[PATH_MAX + 32];
    const char *end = text + size;
    for (size_t number = 0; text < end && !ended; number++) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t bytes = line_end == NULL ? (size_t)(end - text) : (size_t)(line_end - text);
        int line_rv = 0;
        if (bytes >= sizeof line || line_end == NULL || memchr(text, '\0', bytes) != NULL) {
            line_rv = -EBADMSG;
        } else {
            memcpy(line, text, bytes);
            line[bytes] = '\0';
            if (number > 0 && strcmp(line, "end") == 0)
                ended = true;
            else if (number > 0)
                line_rv = line_add(table, &pool, line);
            else if (strncmp(line, TABLE_HEAD, sizeof TABLE_HEAD - 1) != 0)
                return -EBADMSG;
            else if (strcmp(line + sizeof TABLE_HEAD - 1, boot_id) != 0)
                return -ESTALE;
        }
        if (line_rv == -ENOMEM)
            return line_rv;
        if (line_rv != 0)
            rv = -EBADMSG;
        text += bytes + (line_end != NULL);
    }
    return ended && text == end ? rv : -EBADMSG;
}
