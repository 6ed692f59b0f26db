/* The lease page: its rules one by one, and its races between threads and between processes. */
#include "tests/unit/guard/fixture.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include "agent/guard/lease_page.h"

static char path[PATH_MAX];

static int setup(void **state)
{
    struct ph_lease_page *page;
    snprintf(path, sizeof path, "/tmp/poolherd-lease-XXXXXX");
    assert_non_null(mkdtemp(path));
    strcat(path, "/lease");
    assert_int_equal(ph_lease_page_open(path, &page), 0);
    *state = page;
    return 0;
}

static int teardown(void **state)
{
    struct ph_lease_page *page = *state;
    ph_lease_page_close(&page);
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    return 0;
}

static void begins_extends_and_ends(void **state)
{
    int64_t ended = 0;
    struct ph_lease_page *page = *state;
    assert_false(ph_lease_valid(page, 0, 0));
    assert_int_equal(ph_lease_begin(page, 0, 100), -EINVAL);
    assert_int_equal(ph_lease_begin(page, 1, 0), -EINVAL);
    assert_int_equal(ph_lease_begin(page, 1, 100), 0);
    assert_true(ph_lease_valid(page, 1, 99));
    assert_false(ph_lease_valid(page, 1, 100));
    assert_false(ph_lease_valid(page, 2, 50));
    assert_int_equal(ph_lease_begin(page, 2, 200), -EBUSY);
    assert_int_equal(ph_lease_extend(page, 2, 200, 50), -ESTALE);
    assert_int_equal(ph_lease_extend(page, 1, 90, 50), 0); /* never shortened */
    assert_true(ph_lease_valid(page, 1, 99));
    assert_int_equal(ph_lease_extend(page, 1, 150, 99), 0);
    assert_true(ph_lease_valid(page, 1, 149));
    assert_false(ph_lease_end_if_over(page, 149, &ended));
    assert_int_equal(
        ph_lease_extend(page, 1, 300, 150), -ESTALE); /* over, though nobody ended it */
    assert_true(ph_lease_end_if_over(page, 150, &ended));
    assert_int_equal(ended, 1);
    assert_true(ph_lease_end_if_over(page, 150, &ended)); /* was ended */
    assert_int_equal(ended, 1);
    assert_false(ph_lease_valid(page, 1, 0));
    assert_int_equal(
        ph_lease_extend(page, 1, 400, 0), -ESTALE);         /* stays ended, whatever the time */
    assert_int_equal(ph_lease_begin(page, 2, 300), -EBUSY); /* not clean */
    ph_lease_mark_clean(page, 1);
    ph_lease_mark_clean(page, 0); /* only grows */
    assert_int_equal(atomic_load(&page->clean), 1);
    assert_int_equal(ph_lease_begin(page, 1, 300), -EINVAL);
    assert_int_equal(ph_lease_begin(page, 2, 300), 0);
    ph_lease_end(page);
    assert_false(ph_lease_valid(page, 2, 0));
}

static void is_a_file_of_ours(void **state)
{
    struct ph_lease_page *page = *state, *again, *first;
    struct stat status;
    char other[PATH_MAX];
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(ph_lease_begin(page, 5, 1000), 0);
    assert_int_equal(ph_lease_page_open(path, &again), 0);
    assert_true(ph_lease_valid(again, 5, 999));
    /* Another file over the same address. */
    ph_text_format(other, sizeof other, "%s.other", path);
    assert_int_equal(ph_lease_page_replace(again, other), -ENOENT);
    assert_true(ph_lease_valid(again, 5, 999));
    assert_int_equal(ph_lease_page_open(other, &first), 0);
    assert_int_equal(ph_lease_begin(first, 9, 2000), 0);
    assert_int_equal(ph_lease_page_replace(again, other), 0);
    assert_true(ph_lease_valid(again, 9, 999));
    ph_lease_page_close(&first);
    ph_lease_page_close(&again);
    assert_null(again);
    unlink(other);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(ph_lease_page_open(other, &again), -ELOOP);
    unlink(other);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(ph_lease_page_open(other, &again), -EISDIR);
    rmdir(other);
    assert_int_equal(ph_lease_page_open("/nonexistent/lease", &again), -ENOENT);
}

/* ---- the race. Time is a counter, so that leases end all the time. */

#define LEASES 400

struct race {
    struct ph_lease_page page;
    _Atomic uint64_t now_ms;
    _Atomic bool over;
    _Atomic int64_t lived; /* leases that were valid for their owner */
    _Atomic int64_t extended;
    _Atomic int violations;
};

/* Gives way: there may be one processor, and others who want it. */
static void breathe(void)
{
    const struct timespec pause = {.tv_nsec = 20000};
    nanosleep(&pause, NULL);
}

/* What the guard does, also one that has just started: ends, stops everything (nothing here), marks. */
static void race_guard(struct race *race)
{
    while (!atomic_load(&race->over)) {
        uint64_t now_ms = atomic_fetch_add(&race->now_ms, 1);
        if (now_ms % 64 == 0)
            breathe();
        int64_t generation;
        if (!ph_lease_end_if_over(&race->page, now_ms, &generation))
            continue;
        if (generation > atomic_load(&race->page.clean))
            ph_lease_mark_clean(&race->page, generation);
    }
}

static void race_agent(struct race *race, unsigned seed)
{
    int64_t generation = 0;
    while (generation < LEASES) {
        uint64_t now_ms = atomic_load(&race->now_ms);
        int rv =
            ph_lease_begin(&race->page, generation + 1, now_ms + 2 + (uint64_t)rand_r(&seed) % 50);
        if (rv != 0) {
            if (atomic_load(&race->page.generation) > generation)
                generation++; /* used up in the middle of the beginning */
            continue;
        }
        generation++;
        bool ended = false;
        for (int i = 0; i < 20; i++) {
            now_ms = atomic_load(&race->now_ms);
            if (rand_r(&seed) % 8 == 0)
                breathe();
            rv = ph_lease_extend(&race->page, generation, now_ms + 30, now_ms);
            if (rv == 0 && ended)
                atomic_fetch_add(&race->violations, 1); /* it came back to life */
            if (rv == 0)
                atomic_fetch_add(&race->extended, 1);
            ended = ended || rv != 0;
        }
        atomic_fetch_add(&race->lived, 1);
        while (atomic_load(&race->page.clean) < generation)
            breathe();
        if (ph_lease_extend(&race->page, generation, UINT64_MAX, 0) == 0)
            atomic_fetch_add(&race->violations, 1);
    }
}

/* A workload's child: what is clean must never look valid again. */
static void race_child(struct race *race)
{
    for (unsigned round = 0; !atomic_load(&race->over); round++) {
        if (round % 64 == 0)
            breathe();
        int64_t clean = atomic_load(&race->page.clean);
        if (ph_lease_valid(&race->page, clean, 0) || ph_lease_valid(&race->page, clean - 1, 0))
            atomic_fetch_add(&race->violations, 1);
        int64_t generation = atomic_load(&race->page.generation);
        uint64_t now_ms = atomic_load(&race->now_ms);
        if (ph_lease_valid(&race->page, generation, now_ms) &&
            atomic_load(&race->page.generation) < generation)
            atomic_fetch_add(&race->violations, 1);
    }
}

static void *guard_thread(void *argument)
{
    race_guard(argument);
    return NULL;
}

static void *child_thread(void *argument)
{
    race_child(argument);
    return NULL;
}

static void race_check(const struct race *race)
{
    print_message("%lld leases, %lld extensions\n", (long long)atomic_load(&race->lived),
        (long long)atomic_load(&race->extended));
    assert_int_equal(atomic_load(&race->violations), 0);
    assert_true(atomic_load(&race->lived) > LEASES / 10);
    assert_true(atomic_load(&race->extended) > LEASES / 10);
}

static void holds_between_threads(void **state)
{
    static struct race race;
    pthread_t guards[2], child;
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&guards[i], NULL, guard_thread, &race), 0);
    assert_int_equal(pthread_create(&child, NULL, child_thread, &race), 0);
    race_agent(&race, 1);
    atomic_store(&race.over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(guards[i], NULL);
    pthread_join(child, NULL);
    race_check(&race);
}

static void holds_between_processes(void **state)
{
    (void)state;
    struct race *race =
        mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(race, MAP_FAILED);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            if (i == 0)
                race_guard(race);
            else
                race_child(race);
            _exit(0);
        }
    }
    race_agent(race, 2);
    atomic_store(&race->over, true);
    for (int i = 0; i < 2; i++)
        waitpid(pids[i], NULL, 0);
    race_check(race);
    munmap(race, sizeof *race);
}

/* ---- beginning and looking, interrupted after each of their instructions by the other */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 67 }; /* instrumented code has many more, and each is a switch of processes */
#else
enum { STRIDE = 1 };
#endif

enum { ENDED_BEFORE = -1 };

/* What the guard does. */
static int guard_looks(struct ph_lease_page *page)
{
    int64_t generation;
    if (ph_lease_end_if_over(page, 10, &generation) && generation > atomic_load(&page->clean))
        ph_lease_mark_clean(page, generation);
    return 0;
}

static int agent_begins(struct ph_lease_page *page)
{
    return ph_lease_begin(page, 2, 1000) == 0 ? 0 : 1;
}

/* Lets the child run for `steps` instructions. False when it ended before. */
static bool step(pid_t child, int steps)
{
    int status;
    for (int i = 0; i < steps; i++) {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
            waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
            return false;
    }
    return true;
}

/* A page whose lease 1 is over and clean; `first` is stopped after `steps` instructions, `second` runs,
 * `first` goes on. What `first` returned, or ENDED_BEFORE. */
static int interrupt(struct ph_lease_page *page, int steps, int (*first)(struct ph_lease_page *),
    int (*second)(struct ph_lease_page *))
{
    int status;
    atomic_store(&page->generation, 1);
    atomic_store(&page->clean, 1);
    atomic_store(&page->deadline_ms, 0);
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(9);
        raise(SIGSTOP);
        _exit(first(page));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 9) {
        munmap(page, sizeof *page);
        print_message("skipped: needs the right to trace a process\n");
        skip();
    }
    if (!step(child, steps))
        return ENDED_BEFORE;
    second(page);
    ptrace(PTRACE_CONT, child, NULL, NULL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static struct ph_lease_page *shared_page(void)
{
    struct ph_lease_page *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    return page;
}

static void a_beginning_may_be_interrupted_anywhere(void **state)
{
    struct ph_lease_page *page = shared_page();
    int begun = 0, refused = 0, rv;
    (void)state;
    for (int steps = 0;; steps += STRIDE) {
        rv = interrupt(page, steps, agent_begins, guard_looks);
        if (rv == ENDED_BEFORE)
            break;
        if (rv == 0) {
            begun++;
            assert_true(ph_lease_valid(page, 2, 10));
            assert_int_equal(atomic_load(&page->clean), 1);
        } else {
            refused++;
            assert_false(ph_lease_valid(page, 2, 10));
            guard_looks(page);
            assert_int_equal(atomic_load(&page->clean), atomic_load(&page->generation));
        }
    }
    print_message(
        "interrupted %d times: %d leases begun, %d refused\n", begun + refused, begun, refused);
    assert_true(begun > 0 && (refused > 0 || STRIDE > 1));
    munmap(page, sizeof *page);
}

static void a_look_may_be_interrupted_anywhere(void **state)
{
    struct ph_lease_page *page = shared_page();
    int looks = 0;
    (void)state;
    for (int steps = 0; interrupt(page, steps, guard_looks, agent_begins) != ENDED_BEFORE;
         steps += STRIDE) {
        looks++;
        assert_true(ph_lease_valid(page, 2, 10)); /* nothing of it was over */
        assert_int_equal(atomic_load(&page->clean), 1);
    }
    assert_true(looks > 0);
    munmap(page, sizeof *page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(begins_extends_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(is_a_file_of_ours, setup, teardown),
        cmocka_unit_test(a_beginning_may_be_interrupted_anywhere),
        cmocka_unit_test(a_look_may_be_interrupted_anywhere),
        cmocka_unit_test(holds_between_threads),
        cmocka_unit_test(holds_between_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
