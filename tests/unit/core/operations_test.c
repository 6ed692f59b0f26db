/* Jobs of kind vm: sent once, serialized per VM, ended by what the node says or by the loss of its epoch. */
#include "fixture.h"

static struct fixture *web_on_n1(uint64_t seed)
{
    struct fixture *fx = fx_new(3, seed);
    struct core_pool *pool;

    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    pool = core_find_pool(fx->core, "web");
    /* The fixture's VMs are processes, to which nothing can be done. */
    ph_text_format(pool->vms[0].row.kind, sizeof pool->vms[0].row.kind, "qemu");
    return fx;
}

static int64_t ask(struct fixture *fx, enum ph_vm_operation operation, const char *item, char *key)
{
    struct ph_vm_operate asked = {.pool = "web", .operation = operation, .request_id = key};

    ph_text_format(
        asked.vm, sizeof asked.vm, "%s", core_find_pool(fx->core, "web")->vms[0].row.name);
    ph_text_format(asked.item, sizeof asked.item, "%s", item);
    fx_ask(fx, PH_MSG_VM_OPERATE, &asked);
    return fx->answer_type == PH_MSG_DONE ? fx_job_of_answer(fx) : 0;
}

static void is_sent_and_ends(void **state)
{
    struct fixture *fx = web_on_n1(1);
    struct fx_local *local = fx_local(fx_node(fx, "n1"), "web");
    int64_t first = ask(fx, PH_OPERATION_RESET, "", NULL);
    int64_t second = ask(fx, PH_OPERATION_SNAPSHOT_CREATE, "s1", NULL);

    (void)state;
    fx_run(fx, 1000);
    assert_int_equal(fx_job_row(fx, first)->state, PH_JOB_RUNNING);
    assert_int_equal(fx_job_row(fx, first)->epoch, fx_pool_row(fx, "web")->epoch);
    assert_int_equal(fx_job_row(fx, second)->state, PH_JOB_QUEUED);
    assert_non_null(strstr(fx_job_row(fx, second)->waiting_on, "on the same VM"));
    assert_int_equal(local->order.operations.count, 1);
    local->operated = true;
    fx_changed(local);
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, first)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_job_row(fx, second)->state, PH_JOB_SUCCEEDED);
    fx_run(fx, 1000);
    assert_int_equal(local->order.operations.count, 0);
    fx_free(fx);
}

static void the_same_request_is_the_same_job(void **state)
{
    struct fixture *fx = web_on_n1(2);
    char key[] = "monday", other[] = "tuesday";
    int64_t first = ask(fx, PH_OPERATION_RESET, "", key);

    (void)state;
    assert_true(first > 0);
    assert_int_equal(ask(fx, PH_OPERATION_RESET, "", key), first);
    assert_int_equal(ask(fx, PH_OPERATION_PAUSE, "", key), 0);
    assert_non_null(strstr(fx_problem(fx), "something else"));
    assert_int_not_equal(ask(fx, PH_OPERATION_RESET, "", other), first);
    fx_local(fx_node(fx, "n1"), "web")->operated = true;
    fx_changed(fx_local(fx_node(fx, "n1"), "web"));
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, first)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(ask(fx, PH_OPERATION_RESET, "", key), first); /* also when it has ended */
    fx_free(fx);
}

static void refusals(void **state)
{
    struct fixture *fx = web_on_n1(3);
    struct core_pool *pool = core_find_pool(fx->core, "web");

    (void)state;
    assert_int_equal(ask(fx, PH_OPERATION_NONE, "", NULL), 0);
    assert_int_equal(ask(fx, PH_OPERATION_SNAPSHOT_DELETE, "", NULL), 0);
    assert_non_null(strstr(fx_problem(fx), "name of a snapshot"));
    assert_int_equal(ask(fx, PH_OPERATION_RESET, "s1", NULL), 0);
    assert_int_equal(ask(fx, PH_OPERATION_SNAPSHOT_ROLLBACK, "12", NULL), 0);
    assert_non_null(strstr(fx_problem(fx), "digits"));
    pool->vms[0].row.halted = true;
    assert_int_equal(ask(fx, PH_OPERATION_RESET, "", NULL), 0);
    assert_non_null(strstr(fx_problem(fx), "start it first"));
    pool->vms[0].row.halted = false;
    ph_text_format(pool->vms[0].row.kind, sizeof pool->vms[0].row.kind, "process");
    assert_int_equal(ask(fx, PH_OPERATION_RESET, "", NULL), 0);
    assert_non_null(strstr(fx_problem(fx), "kind process"));
    fx_free(fx);
}

static void one_that_was_not_sent_is_cancelled(void **state)
{
    struct fixture *fx = web_on_n1(4);
    int64_t first = ask(fx, PH_OPERATION_RESET, "", NULL),
            second = ask(fx, PH_OPERATION_RESET, "", NULL);

    (void)state;
    fx_run(fx, 500);
    fx_ask(fx, PH_MSG_JOB_CANCEL, &(struct ph_numbered){.id = first});
    assert_non_null(strstr(fx_problem(fx), "half-way"));
    fx_ask(fx, PH_MSG_JOB_CANCEL, &(struct ph_numbered){.id = second});
    assert_int_equal(fx_job_row(fx, second)->state, PH_JOB_CANCELLED);
    fx_free(fx);
}

/* The node is lost in the middle: nobody knows, and it is not done again elsewhere. */
static void a_take_over_ends_it(void **state)
{
    struct fixture *fx = web_on_n1(5);
    int64_t first = ask(fx, PH_OPERATION_RESET, "", NULL),
            second = ask(fx, PH_OPERATION_PAUSE, "", NULL);

    (void)state;
    fx_run(fx, 500);
    /* so that the other nodes can run it */
    ph_text_format(core_find_pool(fx->core, "web")->vms[0].row.kind, 8, "process");
    fx_kill(fx, "n1");
    fx_run(fx, 10000);
    assert_string_not_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_job_row(fx, first)->state, PH_JOB_FAILED);
    assert_non_null(strstr(fx_job_row(fx, first)->reason, "may have been done"));
    /* The one that waited is sent to where the pool is now. */
    assert_int_equal(fx_job_row(fx, second)->state, PH_JOB_RUNNING);
    assert_string_equal(fx_job_row(fx, second)->node, fx_active_on(fx, "web"));
    fx_free(fx);
}

/* A manager that is killed at any point of it knows what was asked, and sends nothing twice under two numbers. */
static void a_restarted_manager_goes_on(void **state)
{
    struct fixture *fx = web_on_n1(6);
    int64_t first;
    char key[] = "k";

    (void)state;
    fx_manager_stop(fx);
    fx_manager_start(fx);
    fx_run(fx, 3000);
    ph_text_format(core_find_pool(fx->core, "web")->vms[0].row.kind, 8, "qemu");
    first = ask(fx, PH_OPERATION_RESET, "", key);
    fx_run(fx, 500);
    fx_manager_stop(fx);
    fx_manager_start(fx);
    fx_run(fx, 3000);
    assert_int_equal(fx_job_row(fx, first)->state, PH_JOB_RUNNING);
    assert_int_equal(ask(fx, PH_OPERATION_RESET, "", key), first);
    fx_local(fx_node(fx, "n1"), "web")->operated = true;
    fx_changed(fx_local(fx_node(fx, "n1"), "web"));
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, first)->state, PH_JOB_SUCCEEDED);
    fx_free(fx);
}

/* From a backup nobody can know what was done since. */
static void a_restored_inventory_does_nothing_again(void **state)
{
    struct fixture *fx = web_on_n1(7);
    char yes[] = "yes";
    struct ph_meta meta = {.key = PH_META_VOTERS_UNKNOWN, .value = yes};
    int64_t first = ask(fx, PH_OPERATION_RESET, "", NULL);

    (void)state;
    fx_run(fx, 500);
    fx_manager_stop(fx);
    fx_store_save(fx, &ph_record_meta, &meta);
    fx_manager_start(fx);
    assert_int_equal(fx_job_row(fx, first)->state, PH_JOB_FAILED);
    assert_non_null(strstr(fx_job_row(fx, first)->reason, "restored"));
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_sent_and_ends),
        cmocka_unit_test(the_same_request_is_the_same_job),
        cmocka_unit_test(refusals),
        cmocka_unit_test(one_that_was_not_sent_is_cancelled),
        cmocka_unit_test(a_take_over_ends_it),
        cmocka_unit_test(a_restarted_manager_goes_on),
        cmocka_unit_test(a_restored_inventory_does_nothing_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
