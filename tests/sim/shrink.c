/*
 * Makes a play that fails shorter while it fails in the same way. Each attempt is played in a process of
 * its own, since a failure ends it. The items are thinned out by halves, quarters and so on (ddmin: Zeller
 * and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).
 */
#include "tests/sim/shrink.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS 1500

struct shrinking {
    struct sim_options options;
    struct sim_schedule *best;
    char words[WORDS]; /* of the failure, without its numbers */
    uint64_t failed_ms;
    int attempts;
    time_t until;
};

bool sim_attempt(const struct sim_schedule *schedule, const struct sim_options *options,
    uint64_t *at_ms_out, char *words, size_t size)
{
    int ends[2];
    if (pipe(ends) != 0) {
        abort();
    }
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct sim_options own = *options;
        struct sim_stats stats;
        (void)close(ends[0]);
        own.failed_fd = ends[1];
        sim_play(schedule, &own, &stats);
        _Exit(0);
    }
    (void)close(ends[1]);
    size_t used = 0;
    for (ssize_t got = 1; child > 0 && got > 0 && used + 1 < size;) {
        got = read(ends[0], words + used, size - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    words[used] = '\0';
    words[strcspn(words, "\n")] = '\0';
    (void)close(ends[0]);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        abort();
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    char *rest = words;
    *at_ms_out = strtoull(words, &rest, 10);
    memmove(words, rest + (*rest == ' '), strlen(rest + (*rest == ' ')) + 1);
    if (words[0] == '\0') { /* an assertion, or a signal */
        (void)ph_text_format(words, size, "the simulator died of signal %d",
            WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return false;
}

/* "pool pool03 runs on n1 and on n2" is the same failure with other names. */
static void without_numbers(char *words)
{
    char *out = words;
    for (const char *in = words; *in != '\0'; in++) {
        if (isdigit((unsigned char)*in) == 0) {
            *out++ = *in;
        }
    }
    *out = '\0';
}

/* Whether the play still fails so; it is the best one then, and `schedule` is taken. */
static bool still_fails(struct shrinking *shrinking, struct sim_schedule *schedule)
{
    char words[WORDS];
    uint64_t at_ms = 0;
    if (time(NULL) >= shrinking->until) {
        return false;
    }
    shrinking->attempts++;
    if (sim_attempt(schedule, &shrinking->options, &at_ms, words, sizeof(words))) {
        return false;
    }
    without_numbers(words);
    if (strcmp(words, shrinking->words) != 0) {
        return false;
    }
    struct sim_schedule old = *shrinking->best;
    *shrinking->best = *schedule;
    *schedule = old;
    shrinking->failed_ms = at_ms;
    (void)fprintf(stderr, "%zu items, %llu.%03llu s\n", shrinking->best->count,
        (unsigned long long)(at_ms / 1000), (unsigned long long)(at_ms % 1000));
    return true;
}

static struct sim_schedule without(const struct sim_schedule *from, size_t begin, size_t end)
{
    struct sim_schedule copy = *from;
    copy.items = NULL;
    copy.count = copy.room = 0;
    for (size_t i = 0; i < from->count; i++) {
        if (i < begin || i >= end) {
            sim_schedule_add(&copy, &from->items[i]);
        }
    }
    return copy;
}

/* Nothing after the failure has to do with it. */
static void cut_the_end(struct shrinking *shrinking)
{
    const struct sim_schedule *best = shrinking->best;
    size_t count = best->count;
    while (count > 0 && best->items[count - 1].at_ms > shrinking->failed_ms) {
        count--;
    }
    struct sim_schedule shorter = without(best, count, best->count);
    if (shrinking->failed_ms + 1 < shorter.length_ms) {
        shorter.length_ms = shrinking->failed_ms + 1;
    }
    if (shorter.count < best->count || shorter.length_ms < best->length_ms) {
        (void)still_fails(shrinking, &shorter);
    }
    sim_schedule_fini(&shorter);
}

/* What fails in a calm fails in one that comes sooner. */
static void sooner_calm(struct shrinking *shrinking)
{
    for (uint64_t after_ms = 1000; after_ms <= 64000; after_ms *= 8) {
        struct sim_schedule shorter = without(shrinking->best, 0, 0);
        uint64_t last_ms = shorter.count == 0 ? 0 : shorter.items[shorter.count - 1].at_ms;
        bool fails = false;
        if (last_ms + after_ms < shorter.length_ms) {
            shorter.length_ms = last_ms + after_ms;
            fails = still_fails(shrinking, &shorter);
        }
        sim_schedule_fini(&shorter);
        if (fails) {
            return;
        }
    }
}

static void thin_out(struct shrinking *shrinking)
{
    size_t parts = 2;
    while (shrinking->best->count > 0) {
        size_t count = shrinking->best->count, size = (count + parts - 1) / parts;
        bool less = false;
        for (size_t begin = 0; begin < shrinking->best->count;) {
            struct sim_schedule fewer = without(shrinking->best, begin, begin + size);
            bool fails = still_fails(shrinking, &fewer);
            sim_schedule_fini(&fewer);
            less = less || fails;
            begin += fails ? 0 : size;
        }
        cut_the_end(shrinking);
        sooner_calm(shrinking);
        if (size == 1 && !less) {
            return;
        }
        parts = less ? 2 : parts * 2;
        parts = parts > shrinking->best->count ? shrinking->best->count : parts;
        if (parts == 0 || time(NULL) >= shrinking->until) {
            return;
        }
    }
}

static void try_setting(struct shrinking *shrinking, int nodes, int pools)
{
    struct sim_schedule smaller = without(shrinking->best, 0, 0);
    bool fits = nodes > 0 && pools > 0;
    for (size_t i = 0; i < smaller.count && fits; i++) {
        const struct sim_item *item = &smaller.items[i];
        fits = item->pool < pools && (item->node < nodes || item->node == SIM_MANAGER) &&
               (item->other < nodes || item->other == SIM_MANAGER);
    }
    smaller.nodes = nodes;
    smaller.pools = pools;
    if (fits) {
        (void)still_fails(shrinking, &smaller);
    }
    sim_schedule_fini(&smaller);
}

static void smaller_world(struct shrinking *shrinking)
{
    for (int pools = 1; pools < shrinking->best->pools; pools *= 2) {
        try_setting(shrinking, shrinking->best->nodes, pools);
    }
    for (int nodes = 2; nodes < shrinking->best->nodes; nodes++) {
        try_setting(shrinking, nodes, shrinking->best->pools);
    }
}

int sim_shrink(
    struct sim_schedule *schedule, const struct sim_options *options, unsigned seconds_max)
{
    struct shrinking shrinking = {.options = *options, .best = schedule};
    char whole[WORDS];
    shrinking.options.trace = false;
    if (sim_attempt(schedule, &shrinking.options, &shrinking.failed_ms, whole, sizeof(whole))) {
        (void)fprintf(stderr, "this play does not fail: there is nothing to shrink\n");
        return 1;
    }
    (void)fprintf(stderr, "it fails: %s\n", whole);
    memcpy(shrinking.words, whole, sizeof(whole));
    without_numbers(shrinking.words);
    shrinking.until = time(NULL) + (time_t)seconds_max;
    cut_the_end(&shrinking);
    thin_out(&shrinking);
    smaller_world(&shrinking);
    thin_out(&shrinking);
    (void)sim_attempt(schedule, &shrinking.options, &shrinking.failed_ms, whole, sizeof(whole));
    (void)fprintf(stderr, "%d plays later %zu items are left: %s\n", shrinking.attempts,
        schedule->count, whole);
    sim_schedule_write(schedule, "-", whole);
    return 0;
}
