/* Which events belong to the story of a job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/file.h"
#include "manager/serve/story.h"

struct bed {
    char directory[128];
    struct ph_store *store;
    struct ph_batch *batch;
    int64_t event, at;
    struct ph_story story;
};

static void nothing_done(
    void *context, uint64_t number, enum ph_store_result result, const char *message)
{
    (void)context, (void)number, (void)message;
    assert_int_equal(result, PH_STORE_OK);
}

static int set_up(void **state)
{
    struct bed *bed = calloc(1, sizeof *bed);
    const char *base = getenv("TMPDIR");
    char path[160];
    struct ph_error error = {0};
    int64_t term;

    assert_non_null(bed);
    snprintf(bed->directory, sizeof bed->directory, "%s/ph-story-XXXXXX",
        base != NULL && strlen(base) < 80 ? base : "/tmp");
    assert_non_null(mkdtemp(bed->directory));
    snprintf(path, sizeof path, "%s/inventory.db", bed->directory);
    assert_int_equal(
        ph_store_open(path, PH_SCHEMA_MANAGER, nothing_done, NULL, &bed->store, &error), 0);
    assert_int_equal(ph_store_activate(bed->store, "m", &term, &error), 0);
    bed->batch = ph_batch_new();
    bed->at = 1000000;
    *state = bed;
    return 0;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;

    ph_record_fini(&ph_record_story, &bed->story);
    ph_store_destroy(&bed->store);
    assert_int_equal(ph_tree_remove(bed->directory), 0);
    free(bed);
    return 0;
}

/* One event, 100 ms after the one before. The message is its name in the tests. */
static void happens(struct bed *bed, const char *kind, const char *node, const char *pool,
    int64_t job, const char *name)
{
    char text[64];
    struct ph_event event = {.id = ++bed->event, .at = bed->at, .job = job, .message = text};

    bed->at += 100;
    snprintf(event.kind, sizeof event.kind, "%s", kind);
    snprintf(event.node, sizeof event.node, "%s", node);
    snprintf(event.pool, sizeof event.pool, "%s", pool);
    snprintf(text, sizeof text, "%s", name);
    assert_int_equal(ph_batch_save(bed->batch, &ph_record_event, &event), 0);
}

static void job(struct bed *bed, struct ph_job row)
{
    assert_int_equal(ph_batch_save(bed->batch, &ph_record_job, &row), 0);
}

static const struct ph_story *told(struct bed *bed, int64_t id)
{
    struct ph_error error = {0};

    if (bed->batch != NULL)
        ph_store_commit(bed->store, &bed->batch);
    ph_store_flush(bed->store);
    ph_record_fini(&ph_record_story, &bed->story);
    if (serve_story(bed->store, id, &bed->story, &error) != 0)
        fail_msg("%s: %s", error.field, error.message);
    assert_int_equal(ph_record_check(&ph_record_story, &bed->story, &error), 0);
    return &bed->story;
}

static void assert_steps(const struct ph_story *story, const char *const *names)
{
    size_t count = 0;

    for (; names[count] != NULL; count++) {
        if (count >= story->steps.count)
            fail_msg("%s is missing", names[count]);
        assert_string_equal(story->steps.items[count].event.message, names[count]);
    }
    if (story->steps.count > count)
        fail_msg("%s does not belong to it", story->steps.items[count].event.message);
}

/* Two pools of one node that falls silent for the second time; another node has its own troubles. */
static void two_takeovers(struct bed *bed)
{
    struct ph_job first = {.id = 7,
        .kind = PH_JOB_TAKEOVER,
        .state = PH_JOB_SUCCEEDED,
        .pool = "web",
        .node = "n1",
        .target = "n2",
        .created_at = 1,
        .silent_at = 1000450}; /* between back and silent */
    struct ph_job second = first;

    happens(bed, "node-online", "n1", "", 0, "long ago");
    happens(bed, "node-suspect", "n1", "", 0, "an earlier silence");
    happens(bed, "pool-waiting", "n1", "web", 0, "an earlier wait");
    happens(bed, "node-online", "n1", "", 0, "back");
    happens(bed, "pool-active", "n1", "web", 0, "back on n1");
    happens(bed, "node-suspect", "n1", "", 0, "silent");
    happens(bed, "pool-waiting", "n1", "web", 0, "web waits");
    happens(bed, "pool-waiting", "n1", "db", 0, "db waits");
    happens(bed, "command", "", "", 0, "somebody pauses");
    happens(bed, "promise-given", "n1", "", 0, "a kind of event that is still to be invented");
    happens(bed, "fence-run", "n1", "", 5, "by a fence job");
    happens(bed, "node-suspect", "n9", "", 0, "another node");
    happens(bed, "node-lost", "n1", "", 0, "lost");
    happens(bed, "takeover-begun", "n1", "web", 7, "web begins");
    happens(bed, "takeover-begun", "n1", "db", 8, "db begins");
    happens(bed, "takeover-target", "n2", "web", 7, "web to n2");
    happens(bed, "node-suspect", "n2", "", 0, "the target stutters");
    happens(bed, "pool-active", "n2", "web", 7, "web active");
    first.ended_at = bed->at;
    happens(bed, "job-succeeded", "n1", "web", 7, "web done");
    happens(bed, "pool-waiting", "n2", "web", 0, "a later wait");
    second.id = 8;
    snprintf(second.pool, sizeof second.pool, "db");
    second.state = PH_JOB_RUNNING;
    job(bed, first);
    job(bed, second);
}

static void a_takeover_begins_with_the_silence(void **state)
{
    static const char *const steps[] = {"silent", "web waits", "somebody pauses",
        "a kind of event that is still to be invented", "by a fence job", "lost", "web begins",
        "web to n2", "the target stutters", "web active", "web done", NULL};
    static const char *const others[] = {"silent", "db waits", "somebody pauses",
        "a kind of event that is still to be invented", "by a fence job", "lost", "db begins",
        NULL}; /* n2 is nothing to it */
    struct bed *bed = *state;
    const struct ph_story *story;

    two_takeovers(bed);
    story = told(bed, 7);
    assert_steps(story, steps);
    assert_true(story->whole);
    assert_int_equal(story->began_at, 1000450); /* the last sign of life */
    assert_int_equal(story->steps.items[0].after_ms, 50);
    assert_int_equal(story->steps.items[10].after_ms, 1350);
    assert_steps(told(bed, 8), others); /* not ended: all up to now */
}

static void without_the_last_sign_of_life_it_begins_with_its_first_step(void **state)
{
    struct bed *bed = *state;

    two_takeovers(bed);
    job(bed,
        (struct ph_job){
            .id = 9, .kind = PH_JOB_TAKEOVER, .node = "n1", .created_at = 2000000, .silent_at = 0});
    happens(bed, "takeover-begun", "n1", "x", 9, "x begins");
    assert_int_equal(told(bed, 9)->began_at, 1000500); /* "silent" */
}

/* The order is by id: a clock that was set back in the middle changes times alone. */
static void a_clock_that_was_set_back_loses_nothing(void **state)
{
    static const char *const steps[] = {"silent", "lost", "begins", "done", NULL};
    struct bed *bed = *state;
    const struct ph_story *story;

    happens(bed, "node-suspect", "n1", "", 0, "silent");
    bed->at -= 500000;
    happens(bed, "node-lost", "n1", "", 0, "lost");
    happens(bed, "takeover-begun", "n1", "web", 1, "begins");
    job(bed, (struct ph_job){.id = 1,
                 .kind = PH_JOB_TAKEOVER,
                 .pool = "web",
                 .node = "n1",
                 .created_at = bed->at - 100,
                 .ended_at = bed->at,
                 .silent_at = 999000});
    happens(bed, "job-succeeded", "n1", "web", 1, "done");
    story = told(bed, 1);
    assert_steps(story, steps);
    assert_true(story->steps.items[1].after_ms < 0);
}

static void a_move_is_about_its_pool_and_its_nodes(void **state)
{
    static const char *const steps[] = {
        "asked for", "copying", "n2 stutters", "stopping", "moved", NULL};
    struct bed *bed = *state;

    happens(bed, "node-suspect", "n1", "", 0, "a silence that is over");
    happens(bed, "node-online", "n1", "", 0, "over");
    happens(bed, "command", "n1", "web", 3, "asked for");
    happens(bed, "move-phase", "", "web", 3, "copying");
    happens(bed, "pool-active", "n3", "mail", 0, "another pool");
    happens(bed, "node-suspect", "n2", "", 0, "n2 stutters");
    happens(bed, "node-suspect", "n3", "", 0, "n3 stutters");
    happens(bed, "pool-activating", "n2", "web", 3, "stopping");
    job(bed, (struct ph_job){.id = 3,
                 .kind = PH_JOB_MOVE,
                 .pool = "web",
                 .node = "n1",
                 .target = "n2",
                 .created_at = 1000200,
                 .ended_at = bed->at});
    happens(bed, "job-succeeded", "n1", "web", 3, "moved");
    assert_steps(told(bed, 3), steps);
}

static void a_drain_has_its_moves(void **state)
{
    static const char *const steps[] = {"drain", "move a", "move b", "a done", "done", NULL};
    struct bed *bed = *state;
    const struct ph_story *story;

    happens(bed, "command", "n1", "", 1, "drain");
    happens(bed, "move-phase", "", "a", 2, "move a");
    happens(bed, "move-phase", "", "b", 3, "move b");
    happens(bed, "move-phase", "", "c", 4, "of another drain");
    happens(bed, "job-succeeded", "n1", "a", 2, "a done");
    job(bed,
        (struct ph_job){
            .id = 1, .kind = PH_JOB_DRAIN, .node = "n1", .created_at = 1, .ended_at = bed->at});
    happens(bed, "job-succeeded", "n1", "", 1, "done");
    job(bed, (struct ph_job){.id = 2, .parent = 1, .pool = "a", .node = "n1", .created_at = 1});
    job(bed, (struct ph_job){.id = 3, .parent = 1, .pool = "b", .node = "n1", .created_at = 1});
    job(bed, (struct ph_job){.id = 4, .pool = "c", .node = "n3", .created_at = 1});
    story = told(bed, 1);
    assert_steps(story, steps);
    assert_int_equal(story->jobs.count, 2);
    assert_int_equal(story->jobs.items[1].id, 3);
}

static void a_fence_run_has_the_takeovers_that_followed(void **state)
{
    static const char *const steps[] = {
        "silent", "run", "off", "fenced", "a taken over", "b taken over", NULL};
    struct bed *bed = *state;
    const struct ph_story *story;
    int64_t moment;

    happens(bed, "node-suspect", "n1", "", 0, "silent");
    happens(bed, "pool-waiting", "n2", "x", 0, "of another node");
    happens(bed, "command", "n1", "", 1, "run");
    moment = bed->at;
    happens(bed, "job-succeeded", "n1", "", 1, "off");
    bed->at = moment; /* all in one step of the core */
    happens(bed, "node-fenced", "n1", "", 0, "fenced");
    bed->at = moment;
    happens(bed, "takeover-begun", "n1", "a", 2, "a taken over");
    bed->at = moment;
    happens(bed, "takeover-begun", "n1", "b", 3, "b taken over");
    happens(bed, "takeover-target", "n2", "b", 3, "told by the take-over itself");
    job(bed, (struct ph_job){
                 .id = 1, .kind = PH_JOB_FENCE, .node = "n1", .created_at = 1, .ended_at = moment});
    for (int64_t id = 2; id < 4; id++)
        job(bed,
            (struct ph_job){.id = id, .kind = PH_JOB_TAKEOVER, .node = "n1", .created_at = moment});
    job(bed, (struct ph_job){
                 .id = 4, .kind = PH_JOB_TAKEOVER, .node = "n1", .created_at = moment + 1000});
    story = told(bed, 1);
    assert_steps(story, steps);
    assert_int_equal(story->jobs.count, 2);
}

static void an_endless_story_is_cut(void **state)
{
    struct bed *bed = *state;
    const struct ph_story *story;

    job(bed, (struct ph_job){.id = 1, .kind = PH_JOB_DRAIN, .node = "n1", .created_at = 1});
    for (int i = 0; i < PH_STORY_STEPS_MAX + 3; i++)
        happens(bed, "job-step", "n1", "", 1, "step");
    story = told(bed, 1);
    assert_int_equal(story->steps.count, PH_STORY_STEPS_MAX);
    assert_false(story->whole);
}

static void what_is_not_kept_is_said(void **state)
{
    struct bed *bed = *state;
    struct ph_story story = {0};
    struct ph_error error = {0};

    job(bed, (struct ph_job){.id = 1, .node = "n1", .created_at = 5000, .ended_at = 6000});
    assert_int_equal(told(bed, 1)->steps.count, 0); /* its events are gone */
    assert_int_equal(told(bed, 1)->began_at, 5000);
    assert_true(serve_story(bed->store, 99, &story, &error) != 0);
    assert_int_equal(error.code, PH_NOT_FOUND);
    assert_non_null(strstr(error.message, "no job 99"));
    ph_record_fini(&ph_record_story, &story);
}

int main(void)
{
#define STORY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY_TEST(a_takeover_begins_with_the_silence),
        STORY_TEST(without_the_last_sign_of_life_it_begins_with_its_first_step),
        STORY_TEST(a_clock_that_was_set_back_loses_nothing),
        STORY_TEST(a_move_is_about_its_pool_and_its_nodes),
        STORY_TEST(a_drain_has_its_moves),
        STORY_TEST(a_fence_run_has_the_takeovers_that_followed),
        STORY_TEST(an_endless_story_is_cut),
        STORY_TEST(what_is_not_kept_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
