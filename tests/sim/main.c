/*
 * ph_sim: see run --help.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/sim/shrink.h"
#include "tests/sim/sim.h"

#define JOBS_MAX 64
#define SHRINK_SECONDS 300

struct command_line {
    struct sim_wish wish;
    struct sim_options options;
    uint64_t seeds;
    int jobs;
    bool forever, quiet, shrink;
    const char *write;
    char **replay;
    int replay_count;
};

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add_stats(struct sim_stats *sum, const struct sim_stats *more)
{
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)more;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

static void say(const char *what, const struct sim_stats *stats, double took)
{
    double hours = (double)stats->real_us / 3.6e9;
    double each = hours > 0 ? 1 / hours : 0;
    (void)fprintf(stderr,
        "%s: %.1f simulated hours, %.0f hours/s; faults %llu (%.1f an hour), commands %llu; "
        "crashes %llu, lease-ends %llu, take-overs %llu, moves %llu, drained %llu; lost writes "
        "%llu "
        "(avoidable %llu), nodes replaced by hand %llu; steps %llu, beats skipped %llu\n",
        what, hours, hours / (took > 0 ? took : 1e-9), (unsigned long long)stats->faults,
        (double)stats->faults * each, (unsigned long long)stats->commands,
        (unsigned long long)stats->crashes, (unsigned long long)stats->lease_ends,
        (unsigned long long)stats->takeovers, (unsigned long long)stats->moves,
        (unsigned long long)stats->drains, (unsigned long long)stats->losses,
        (unsigned long long)stats->avoidable, (unsigned long long)stats->replaced,
        (unsigned long long)stats->steps, (unsigned long long)stats->skipped_beats);
}

/* One seed: made, and written down, shrunk or played. */
static int one(const struct command_line *line, uint64_t seed, struct sim_stats *sum)
{
    struct sim_schedule schedule;
    struct sim_wish wish = line->wish;
    struct sim_stats stats = {0};
    char what[96];
    int status = 0;
    wish.seed = seed;
    sim_generate(&wish, &schedule);
    double began = seconds_now();
    if (line->write != NULL) {
        (void)ph_text_format(what, sizeof(what), "made from seed %llu", (unsigned long long)seed);
        sim_schedule_write(&schedule, line->write, what);
    } else if (line->shrink) {
        status = sim_shrink(&schedule, &line->options, SHRINK_SECONDS);
    } else {
        sim_play(&schedule, &line->options, &stats);
        if (!line->quiet && (line->forever || line->seeds == 1)) {
            (void)ph_text_format(what, sizeof(what), "ok seed=%llu profile=%s",
                (unsigned long long)seed, schedule.profile);
            say(what, &stats, seconds_now() - began);
        }
    }
    add_stats(sum, &stats);
    sim_schedule_fini(&schedule);
    return status;
}

static int every_nth(const struct command_line *line, int first, int step, struct sim_stats *sum)
{
    int status = 0;
    for (uint64_t i = (uint64_t)first; (line->forever || i < line->seeds) && status == 0;
         i += (uint64_t)step) {
        status = one(line, line->wish.seed + i, sum);
    }
    return status;
}

/* Seeds over several processes; each hands its counts back through a pipe. */
static int in_parallel(const struct command_line *line, struct sim_stats *sum)
{
    int ends[2], status = 0;
    if (pipe(ends) != 0) {
        return 1;
    }
    for (int i = 0; i < line->jobs; i++) {
        pid_t child = fork();
        if (child < 0) {
            perror("ph_sim: fork");
            status = 1;
        } else if (child == 0) {
            struct sim_stats own = {0};
            int failed = every_nth(line, i, line->jobs, &own);
            (void)!write(ends[1], &own, sizeof(own)); /* less than PIPE_BUF: in one piece */
            _Exit(failed);
        }
    }
    (void)close(ends[1]);
    struct sim_stats more;
    while (read(ends[0], &more, sizeof(more)) == (ssize_t)sizeof(more)) {
        add_stats(sum, &more);
    }
    (void)close(ends[0]);
    int ended;
    while (wait(&ended) > 0 || errno == EINTR) {
        status = ended != 0 ? 1 : status;
    }
    return status;
}

static int replay(const struct command_line *line)
{
    int failures = 0;
    for (int i = 0; i < line->replay_count; i++) {
        struct sim_schedule schedule;
        char words[1500];
        uint64_t at_ms = 0;
        const char *path = line->replay[i];
        sim_schedule_read(&schedule, path);
        if (line->shrink) {
            failures += sim_shrink(&schedule, &line->options, SHRINK_SECONDS);
        } else if (line->options.trace) { /* here, so that it is seen as it comes */
            struct sim_stats stats;
            sim_play(&schedule, &line->options, &stats);
        } else if (sim_attempt(&schedule, &line->options, &at_ms, words, sizeof(words))) {
            (void)fprintf(stderr, "ok %s\n", path);
        } else {
            (void)fprintf(stderr, "FAILED %s at %llu.%03llu s: %s\n", path,
                (unsigned long long)(at_ms / 1000), (unsigned long long)(at_ms % 1000), words);
            failures++;
        }
        sim_schedule_fini(&schedule);
    }
    return failures == 0 ? 0 : 1;
}

static int usage(void)
{
    (void)fprintf(stderr,
        "usage: ph_sim [--seed S] [--seeds N] [--hours H] [--faults-per-hour F] [--nodes N] "
        "[--pools N]\n"
        "              [--profile default|fast|gentle] [--jobs N] [--forever] [--quiet]\n"
        "              [--trace] [--beats] [--every-beat] [--write FILE] [--shrink] [--replay "
        "FILE...]\n");
    return 2;
}

static bool flag(struct command_line *line, const char *word)
{
    struct {
        const char *word;
        bool *flag;
    } flags[] = {{"--trace", &line->options.trace}, {"--beats", &line->options.trace_beats},
        {"--every-beat", &line->options.every_beat}, {"--forever", &line->forever},
        {"--quiet", &line->quiet}, {"--shrink", &line->shrink}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strcmp(flags[i].word, word) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

static bool setting(struct command_line *line, const char *word, const char *value)
{
    struct sim_wish *wish = &line->wish;
    if (strcmp(word, "--seed") == 0) {
        wish->seed = strtoull(value, NULL, 10);
    } else if (strcmp(word, "--seeds") == 0) {
        line->seeds = strtoull(value, NULL, 10);
    } else if (strcmp(word, "--hours") == 0) {
        wish->hours = strtod(value, NULL);
    } else if (strcmp(word, "--faults-per-hour") == 0) {
        wish->faults_per_hour = strtod(value, NULL);
    } else if (strcmp(word, "--nodes") == 0) {
        wish->nodes = atoi(value);
    } else if (strcmp(word, "--pools") == 0) {
        wish->pools = atoi(value);
    } else if (strcmp(word, "--profile") == 0) {
        wish->profile = value;
    } else if (strcmp(word, "--jobs") == 0) {
        line->jobs = atoi(value);
    } else if (strcmp(word, "--write") == 0) {
        line->write = value;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct command_line line = {.seeds = 1, .jobs = 1};
    line.wish =
        (struct sim_wish){.seed = 1, .hours = 1, .nodes = 5, .pools = 20, .faults_per_hour = -1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--replay") == 0 && i + 1 < argc) {
            line.replay = argv + i + 1;
            line.replay_count = argc - i - 1;
            break;
        }
        if (flag(&line, argv[i])) {
            continue;
        }
        if (i + 1 >= argc || !setting(&line, argv[i], argv[i + 1])) {
            return usage();
        }
        i++;
    }
    if (line.wish.nodes < 1 || line.wish.nodes > SIM_NODES_MAX || line.wish.pools < 1 ||
        line.wish.pools > SIM_POOLS_MAX || line.jobs < 1 || line.jobs > JOBS_MAX) {
        return usage();
    }
    if (line.replay_count > 0) {
        return replay(&line);
    }
    struct sim_stats sum = {0};
    double began = seconds_now();
    int status = line.jobs > 1 ? in_parallel(&line, &sum) : every_nth(&line, 0, 1, &sum);
    if (status == 0 && line.seeds > 1 && !line.quiet) {
        say("ok", &sum, seconds_now() - began);
    }
    return status;
}
