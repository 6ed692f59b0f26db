/*
 * Decides from the beacons' lines alone, knowing nothing of Poolherd, whether a pool ever ran twice.
 *
 *   cluster_checker FILE [LOSSES]
 *
 * FILE has lines "POOL NODE EPOCH NANOSECONDS VM PID COUNTER" (beacon.c). A *span* is one process: from its
 * first line to its last. What must hold:
 *   - spans of one pool on two nodes never have an instant in common;
 *   - spans of one VM on one node neither: two processes of it are twice, too;
 *   - a pool's epochs never fall: what began later has the same epoch or a higher one;
 *   - time and counter of a process grow from line to line;
 *   - a VM's counter grows from span to span: what was written is there, wherever the pool went. Only a
 *     recorded data loss excuses less: LOSSES has lines "POOL EPOCH LOSS_MS", what a take-over under that
 *     epoch said it lost, -1 when it did not know. More than it said is no excuse.
 *
 * Prints each span ("span POOL NODE EPOCH FIRST_NS LAST_NS VM PID LINES FIRST_COUNTER LAST_COUNTER"), each
 * violation with the lines that show it, and a summary. Ends with 0 when there was
 * none, 1 when there was one, 2 when the files cannot be read as such lines.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_ROOM 64
#define LINE_ROOM 512
#define PERIOD_MS 5       /* of a beacon: this much time at least lies between two counts */
#define LOSS_SLACK_MS 100 /* a copy's age is counted from its begin, before it read the counter */
#define SHOWN_LINES 6     /* of each of two spans that overlap */
#define VIOLATIONS_SHOWN 100 /* printed; all are counted */

struct line {
    char pool[NAME_ROOM], vm[NAME_ROOM], node[NAME_ROOM];
    int64_t epoch, pid, at_ns, counter; /* counter -1: it keeps none */
};

struct span {
    struct line first, last;
    uint64_t lines;
};

struct loss {
    char pool[NAME_ROOM];
    int64_t epoch, ms;
};

static struct span *spans;
static size_t span_count, span_room;
static struct loss *losses;
static size_t loss_count, loss_room;
static uint64_t line_count, violations;
static const char *path;

static void *grown(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room == 0 ? 64 : *room * 2;
    items = realloc(items, *room * size);
    if (items == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return items;
}

static bool line_parse(const char *text, struct line *line)
{
    char counter[32], more;
    if (sscanf(text, "%63s %63s %" SCNd64 " %" SCNd64 " %63s %" SCNd64 " %31s %c", line->pool,
            line->node, &line->epoch, &line->at_ns, line->vm, &line->pid, counter, &more) != 7)
        return false;
    char *end = counter;
    line->counter = strcmp(counter, "-") == 0 ? -1 : strtoll(counter, &end, 10);
    return line->counter == -1 || (*end == '\0' && line->counter >= 0);
}

static void print_line(const char *before, const struct line *line)
{
    printf("%s%s %s %" PRId64 " %" PRId64 " %s %" PRId64 " %" PRId64 "\n", before, line->pool,
        line->node, line->epoch, line->at_ns, line->vm, line->pid, line->counter);
}

static bool same_span(const struct line *a, const struct line *b)
{
    return a->pid == b->pid && a->epoch == b->epoch && strcmp(a->pool, b->pool) == 0 &&
           strcmp(a->vm, b->vm) == 0 && strcmp(a->node, b->node) == 0;
}

/* Counts a violation; whether it is to be shown. */
static bool violated(const char *format, ...)
{
    va_list arguments;
    if (++violations > VIOLATIONS_SHOWN)
        return false;
    printf("violation ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    return true;
}

static void take_line(const struct line *line)
{
    size_t i = span_count;
    while (i > 0 && !same_span(&spans[i - 1].last, line)) /* the newest ones are the likely ones */
        i--;
    if (i == 0) {
        spans = grown(spans, span_count, &span_room, sizeof *spans);
        spans[span_count++] = (struct span){*line, *line, 1};
        return;
    }
    struct span *span = &spans[i - 1];
    if ((line->at_ns <= span->last.at_ns ||
            (line->counter >= 0 && line->counter <= span->last.counter)) &&
        violated("time or counter went back within a process")) {
        print_line("    ", &span->last);
        print_line("    ", line);
    }
    span->last = *line;
    span->lines++;
}

/* Calls take for every line; a line that is none ends the program, unless it is the last and unfinished. */
static void read_lines(void (*take)(const struct line *line))
{
    char text[LINE_ROOM];
    struct line line;
    uint64_t number = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    while (fgets(text, sizeof text, file) != NULL) {
        number++;
        bool whole = strchr(text, '\n') != NULL;
        if (!whole && feof(file))
            break;
        if (!whole || !line_parse(text, &line)) {
            fprintf(
                stderr, "%s:%" PRIu64 ": this is no line of a beacon: %s\n", path, number, text);
            exit(2);
        }
        take(&line);
    }
    line_count = number;
    fclose(file);
}

static void read_losses(const char *file_name)
{
    struct loss loss;
    int got;
    FILE *file = fopen(file_name, "re");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", file_name, strerror(errno));
        exit(2);
    }
    while (
        (got = fscanf(file, "%63s %" SCNd64 " %" SCNd64, loss.pool, &loss.epoch, &loss.ms)) == 3) {
        losses = grown(losses, loss_count, &loss_room, sizeof *losses);
        losses[loss_count++] = loss;
    }
    if (got != EOF) {
        fprintf(stderr, "%s: a line is not POOL EPOCH LOSS_MS\n", file_name);
        exit(2);
    }
    fclose(file);
}

static int by_begin(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    int order = strcmp(a->first.pool, b->first.pool);
    if (order == 0)
        order = (a->first.at_ns > b->first.at_ns) - (a->first.at_ns < b->first.at_ns);
    return order != 0 ? order : (a->first.pid > b->first.pid) - (a->first.pid < b->first.pid);
}

/* What show_line() prints: lines of either span from one time to another. */
static struct {
    const struct span *span;
    int64_t from_ns, to_ns;
    int left;
} shown;

static void show_line(const struct line *line)
{
    if (shown.left > 0 && line->at_ns >= shown.from_ns && line->at_ns <= shown.to_ns &&
        same_span(&shown.span->first, line)) {
        print_line("    ", line);
        shown.left--;
    }
}

static void show(const struct span *span, int64_t from_ns, int64_t to_ns)
{
    shown.span = span;
    shown.from_ns = from_ns;
    shown.to_ns = to_ns;
    shown.left = SHOWN_LINES;
    read_lines(show_line);
}

static void check_overlap(const struct span *before, const struct span *after)
{
    bool nodes = strcmp(before->first.node, after->first.node) != 0;
    if (after->first.at_ns > before->last.at_ns ||
        (!nodes && strcmp(before->first.vm, after->first.vm) != 0))
        return;
    int64_t end_ns =
        before->last.at_ns < after->last.at_ns ? before->last.at_ns : after->last.at_ns;
    if (!violated("overlap: %s ran %s: on %s (epoch %" PRId64 ", process %" PRId64
                  ") and on %s (epoch %" PRId64 ", process %" PRId64 ") for %.3f ms, from %" PRId64
                  " to %" PRId64,
            before->first.pool, nodes ? "on two nodes" : "twice on one node", before->first.node,
            before->first.epoch, before->first.pid, after->first.node, after->first.epoch,
            after->first.pid, (double)(end_ns - after->first.at_ns) / 1e6, after->first.at_ns,
            end_ns))
        return;
    show(before, after->first.at_ns, before->last.at_ns);
    show(after, after->first.at_ns, before->last.at_ns);
}

/* Whether a take-over recorded that so much time's work was lost on the way from one to the other. */
static bool excused(const struct span *before, const struct span *after)
{
    int64_t lost_ms = (before->last.counter - after->first.counter) * PERIOD_MS, told_ms = 0;
    for (size_t i = 0; i < loss_count; i++) {
        if (strcmp(losses[i].pool, after->first.pool) != 0 ||
            losses[i].epoch <= before->first.epoch || losses[i].epoch > after->first.epoch)
            continue;
        if (losses[i].ms < 0)
            return true;
        told_ms += losses[i].ms + LOSS_SLACK_MS;
    }
    return lost_ms < told_ms;
}

static void check_counter(const struct span *before, const struct span *after)
{
    if (before->last.counter < 0 || after->first.counter > before->last.counter ||
        strcmp(before->first.vm, after->first.vm) != 0 || excused(before, after))
        return;
    if (violated("loss: %s %s had counted to %" PRId64 " on %s (epoch %" PRId64
                 ") and goes on from %" PRId64 " on %s (epoch %" PRId64
                 "), which no take-over accounts for",
            before->first.pool, before->first.vm, before->last.counter, before->first.node,
            before->first.epoch, after->first.counter, after->first.node, after->first.epoch)) {
        print_line("    ", &before->last);
        print_line("    ", &after->first);
    }
}

static void check_pool(const struct span *of_pool, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct span *after = &of_pool[i], *same_vm = NULL;
        for (size_t j = 0; j < i; j++) {
            const struct span *before = &of_pool[j];
            check_overlap(before, after);
            if (before->first.epoch > after->first.epoch &&
                violated("epoch: %s began under epoch %" PRId64 " on %s after %" PRId64 " on %s",
                    after->first.pool, after->first.epoch, after->first.node, before->first.epoch,
                    before->first.node)) {
                print_line("    ", &before->first);
                print_line("    ", &after->first);
            }
            if (strcmp(before->first.vm, after->first.vm) == 0)
                same_vm = before;
        }
        if (same_vm != NULL)
            check_counter(same_vm, after);
        printf("span %s %s %" PRId64 " %" PRId64 " %" PRId64 " %s %" PRId64 " %" PRIu64 " %" PRId64
               " %" PRId64 "\n",
            after->first.pool, after->first.node, after->first.epoch, after->first.at_ns,
            after->last.at_ns, after->first.vm, after->first.pid, after->lines,
            after->first.counter, after->last.counter);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: cluster_checker FILE [LOSSES]\n");
        return 2;
    }
    path = argv[1];
    if (argc > 2)
        read_losses(argv[2]);
    read_lines(take_line);
    if (span_count > 0)
        qsort(spans, span_count, sizeof *spans, by_begin);
    for (size_t i = 0, end; i < span_count; i = end) {
        for (end = i + 1;
             end < span_count && strcmp(spans[end].first.pool, spans[i].first.pool) == 0;)
            end++;
        check_pool(spans + i, end - i);
    }
    printf("checked lines=%" PRIu64 " spans=%zu violations=%" PRIu64 "\n", line_count, span_count,
        violations);
    free(spans);
    free(losses);
    return violations != 0 ? 1 : 0;
}
