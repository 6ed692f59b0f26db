#include "tests/sim/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "proto/catalogue.h"
#include "tests/sim/sim.h"

#define SIM_ACTION_WORD(name, word, operands) {word, operands},
const struct sim_action_word sim_actions[SIM_ACTION_COUNT] = {SIM_ACTIONS(SIM_ACTION_WORD)};

void sim_schedule_add(struct sim_schedule *schedule, const struct sim_item *item)
{
    if (schedule->count == schedule->room) {
        schedule->room = schedule->room == 0 ? 256 : schedule->room * 2;
        schedule->items = realloc(schedule->items, schedule->room * sizeof(*schedule->items));
        if (schedule->items == NULL) {
            abort();
        }
    }
    schedule->items[schedule->count++] = *item;
}

static int by_time(const void *a, const void *b)
{
    const struct sim_item *one = a, *other = b;
    if (one->at_ms != other->at_ms) {
        return one->at_ms < other->at_ms ? -1 : 1;
    }
    return one->detail < other->detail ? -1 : one->detail > other->detail;
}

void sim_schedule_sort(struct sim_schedule *schedule)
{
    qsort(schedule->items, schedule->count, sizeof(*schedule->items), by_time);
}

void sim_schedule_fini(struct sim_schedule *schedule)
{
    free(schedule->items);
    *schedule = (struct sim_schedule){0};
}

/* ---- writing ---- */
static const char *process_word(int process, char *text, size_t size)
{
    (void)ph_text_format(text, size, "n%d", process + 1);
    return process == SIM_NOBODY       ? "any"
           : process == SIM_ITS_NODE   ? "source"
           : process == SIM_ITS_TARGET ? "target"
           : process == SIM_MANAGER    ? "manager"
                                       : text;
}

void sim_item_text(const struct sim_item *item, char *text, size_t size)
{
    char word[16];
    const struct sim_action_word *action = &sim_actions[item->action];
    size_t used = ph_text_format(text, size, "%s", action->word);
    if ((action->operands & SIM_BY_NODE) != 0) {
        used += ph_text_format(
            text + used, size - used, " node=%s", process_word(item->node, word, sizeof(word)));
    }
    if ((action->operands & SIM_BY_OTHER) != 0) {
        used += ph_text_format(
            text + used, size - used, " other=%s", process_word(item->other, word, sizeof(word)));
    }
    if ((action->operands & SIM_BY_POOL) != 0) {
        (void)ph_text_format(word, sizeof(word), "pool%02d", item->pool);
        used += ph_text_format(
            text + used, size - used, " pool=%s", item->pool == SIM_ITS_POOL ? "its" : word);
    }
    if ((action->operands & SIM_BY_FOR) != 0) {
        used += ph_text_format(text + used, size - used, " for=%llu.%03llu",
            (unsigned long long)(item->for_ms / 1000), (unsigned long long)(item->for_ms % 1000));
    }
    if ((action->operands & SIM_BY_AMOUNT) != 0) {
        used += ph_text_format(text + used, size - used, " amount=%lld", (long long)item->amount);
    }
    if (item->when >= 0) {
        used += ph_text_format(
            text + used, size - used, " when=%s", ph_enum_word(&ph_enum_job_phase, item->when));
    }
    if (item->detail != 0) {
        (void)ph_text_format(
            text + used, size - used, " detail=%llu", (unsigned long long)item->detail);
    }
}

void sim_schedule_write(const struct sim_schedule *schedule, const char *path, const char *comment)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    char text[256];
    if (file == NULL) {
        (void)fprintf(stderr, "ph_sim: %s cannot be written\n", path);
        exit(2);
    }
    (void)fprintf(file, "# %s\nseed %llu\nnodes %d\npools %d\nprofile %s\nlength %llu.%03llu\n",
        comment, (unsigned long long)schedule->seed, schedule->nodes, schedule->pools,
        schedule->profile, (unsigned long long)(schedule->length_ms / 1000),
        (unsigned long long)(schedule->length_ms % 1000));
    if (schedule->long_intervals) {
        (void)fprintf(file, "intervals long\n");
    }
    for (size_t i = 0; i < schedule->count; i++) {
        const struct sim_item *item = &schedule->items[i];
        sim_item_text(item, text, sizeof(text));
        (void)fprintf(file, "at %llu.%03llu %s\n", (unsigned long long)(item->at_ms / 1000),
            (unsigned long long)(item->at_ms % 1000), text);
    }
    if (file != stdout) {
        (void)fclose(file);
    } else {
        (void)fflush(file);
    }
}

/* ---- reading ---- */
static _Noreturn void not_a_play(const char *path, int line, const char *what)
{
    (void)fprintf(stderr, "ph_sim: %s, line %d: %s\n", path, line, what);
    exit(2);
}

static bool read_ms(const char *text, uint64_t *ms_out)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    *ms_out = (uint64_t)(seconds * 1000 + 0.5);
    return end != text && *end == '\0' && seconds >= 0 && seconds < 1e12;
}

static bool read_process(const char *text, int *process_out)
{
    for (int i = SIM_ITS_TARGET; i <= SIM_MANAGER; i++) {
        char word[16];
        if (strcmp(process_word(i, word, sizeof(word)), text) == 0) {
            *process_out = i;
            return true;
        }
    }
    return false;
}

static bool read_operand(struct sim_item *item, char *word)
{
    char *value = strchr(word, '=');
    if (value == NULL) {
        return false;
    }
    *value++ = '\0';
    if (strcmp(word, "node") == 0) {
        return read_process(value, &item->node);
    }
    if (strcmp(word, "other") == 0) {
        return read_process(value, &item->other);
    }
    if (strcmp(word, "pool") == 0) {
        item->pool =
            strcmp(value, "its") == 0 ? SIM_ITS_POOL : atoi(value + strcspn(value, "0123456789"));
        return item->pool < SIM_POOLS_MAX;
    }
    if (strcmp(word, "for") == 0) {
        return read_ms(value, &item->for_ms);
    }
    if (strcmp(word, "amount") == 0) {
        item->amount = strtoll(value, NULL, 10);
        return true;
    }
    if (strcmp(word, "detail") == 0) {
        item->detail = strtoull(value, NULL, 10);
        return true;
    }
    if (strcmp(word, "when") == 0) {
        item->when = ph_enum_value(&ph_enum_job_phase, value);
        return item->when >= 0;
    }
    return false;
}

static const char *read_item(struct sim_schedule *schedule, char **save)
{
    struct sim_item item = {.node = SIM_NOBODY, .when = -1, .action = SIM_ACTION_COUNT};
    const char *at = strtok_r(NULL, " ", save);
    const char *action = strtok_r(NULL, " ", save);
    if (at == NULL || action == NULL || !read_ms(at, &item.at_ms)) {
        return "a time in seconds and an action belong here";
    }
    for (int i = 0; i < SIM_ACTION_COUNT; i++) {
        if (strcmp(sim_actions[i].word, action) == 0) {
            item.action = (enum sim_action)i;
        }
    }
    if (item.action == SIM_ACTION_COUNT) {
        return "there is no such action; see tests/sim/schedule.h";
    }
    for (char *word = strtok_r(NULL, " ", save); word != NULL; word = strtok_r(NULL, " ", save)) {
        if (!read_operand(&item, word)) {
            return "an operand cannot be read";
        }
    }
    sim_schedule_add(schedule, &item);
    return NULL;
}

static const char *read_line(struct sim_schedule *schedule, char *line)
{
    char *save = NULL;
    const char *word = strtok_r(line, " ", &save);
    if (word == NULL || word[0] == '#') {
        return NULL;
    }
    if (strcmp(word, "at") == 0) {
        return read_item(schedule, &save);
    }
    const char *value = strtok_r(NULL, " ", &save);
    if (value == NULL) {
        return "a value is missing";
    }
    if (strcmp(word, "seed") == 0) {
        schedule->seed = strtoull(value, NULL, 10);
    } else if (strcmp(word, "nodes") == 0) {
        schedule->nodes = atoi(value);
    } else if (strcmp(word, "pools") == 0) {
        schedule->pools = atoi(value);
    } else if (strcmp(word, "profile") == 0) {
        (void)ph_text_format(schedule->profile, sizeof(schedule->profile), "%s", value);
    } else if (strcmp(word, "length") == 0) {
        return read_ms(value, &schedule->length_ms) ? NULL : "this is no time in seconds";
    } else if (strcmp(word, "intervals") == 0) {
        schedule->long_intervals = strcmp(value, "long") == 0;
    } else if (strcmp(word, "expect") == 0) {
        const char *count = strtok_r(NULL, " ", &save);
        bool takeovers = strcmp(value, "takeovers") == 0, kills = strcmp(value, "lease-ends") == 0;
        if (count == NULL || (!takeovers && !kills && strcmp(value, "pool-stops") != 0)) {
            return "expect takeovers, lease-ends or pool-stops, and their number";
        }
        uint64_t number = strtoull(count, NULL, 10);
        if (takeovers) {
            schedule->expect_takeovers.set = true;
            schedule->expect_takeovers.value = number;
        } else if (kills) {
            schedule->expect_kills.set = true;
            schedule->expect_kills.value = number;
        } else {
            schedule->expect_stops.set = true;
            schedule->expect_stops.value = number;
        }
    } else {
        return "there is no such setting; see tests/sim/schedule.h";
    }
    return NULL;
}

void sim_schedule_read(struct sim_schedule *schedule, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512];
    int number = 0;
    if (file == NULL) {
        (void)fprintf(stderr, "ph_sim: %s cannot be read\n", path);
        exit(2);
    }
    *schedule = (struct sim_schedule){.nodes = 5, .pools = 20, .seed = 1, .profile = "default"};
    while (fgets(line, sizeof(line), file) != NULL) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        const char *wrong = read_line(schedule, line);
        if (wrong != NULL) {
            not_a_play(path, number, wrong);
        }
    }
    (void)fclose(file);
    if (schedule->nodes < 1 || schedule->nodes > SIM_NODES_MAX || schedule->pools < 1 ||
        schedule->pools > SIM_POOLS_MAX || schedule->length_ms == 0) {
        not_a_play(path, number, "nodes, pools or length is missing or beyond what is possible");
    }
    for (size_t i = 0; i < schedule->count; i++) {
        const struct sim_item *item = &schedule->items[i];
        if ((item->node >= schedule->nodes && item->node != SIM_MANAGER) ||
            (item->other >= schedule->nodes && item->other != SIM_MANAGER) ||
            item->pool >= schedule->pools) {
            not_a_play(path, number, "an action names a node or pool that is not there");
        }
    }
    sim_schedule_sort(schedule);
}
