/* pool.apply: what is refused and where, what changes and what does not, all or nothing. */
#include <time.h>

#include "tests/unit/core/request_bed.h"

static void add(struct ph_texts *texts, const char *item)
{
    assert_int_equal(ph_texts_add(texts, item), 0);
}

static const struct ph_change *change_of(const struct ph_applied *applied, const char *field)
{
    for (size_t i = 0; i < applied->changes.count; i++) {
        const struct ph_change *change = &applied->changes.items[i];

        if (strcmp(change->field == NULL ? "" : change->field, field) == 0)
            return change;
    }
    fail_msg("no change of %s", field);
    return NULL;
}

static void adds_and_is_idempotent(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};
    const struct ph_applied *applied;

    bed_vm(bed_spec(&apply, "web"), "httpd");
    bed_spec(&apply, "db")->priority = 5;
    apply.dry_run = true;
    applied = bed_apply(bed, &apply);
    assert_true(applied->dry_run);
    assert_int_equal(applied->added, 2);
    assert_int_equal(bed->effects.count, 1); /* the answer alone */

    apply.dry_run = false;
    applied = bed_apply(bed, &apply);
    assert_false(applied->dry_run);
    assert_int_equal(applied->added, 2);
    assert_int_equal(applied->changes.count, 2);
    assert_string_equal(applied->changes.items[0].action, "add");
    assert_string_equal(applied->changes.items[0].pool, "web");
    assert_int_equal(bed_saved(bed, &ph_record_pool), 2);
    assert_int_equal(bed_saved(bed, &ph_record_vm), 1);
    assert_string_equal(bed_event(bed, "command")->who, "alice");
    assert_non_null(bed_event(bed, "pool-declared"));

    applied = bed_apply(bed, &apply);
    assert_int_equal(applied->unchanged, 2);
    assert_int_equal(applied->added + applied->changed + applied->removed, 0);
    assert_int_equal(applied->changes.count, 0);
    assert_int_equal(bed->effects.count, 1); /* nothing stored, no event */
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

static void shows_what_changes(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};
    const struct ph_applied *applied;
    struct ph_pool_spec *web = bed_spec(&apply, "web");

    bed_vm(web, "httpd");
    bed_vm(web, "old");
    bed_apply(bed, &apply);

    web->priority = -3;
    web->failback = PH_FAILBACK_AT;
    assert_int_equal(ph_set_text(&web->failback_at, "03:30"), 0);
    add(&web->allow, "rack=\"a\"");
    add(&web->vms.items[0].command, "-v");
    ph_text_format(web->vms.items[1].name, sizeof web->vms.items[1].name, "new");
    applied = bed_apply(bed, &apply);
    assert_int_equal(applied->changed, 1);
    assert_string_equal(change_of(applied, "priority")->before, "0");
    assert_string_equal(change_of(applied, "priority")->after, "-3");
    assert_string_equal(change_of(applied, "failback")->before, "\"no\"");
    assert_string_equal(change_of(applied, "failback")->after, "\"at\"");
    assert_string_equal(change_of(applied, "failback_at")->after, "\"03:30\"");
    assert_string_equal(change_of(applied, "allow")->before, "[]");
    assert_string_equal(change_of(applied, "allow")->after, "[\"rack=\\\"a\\\"\"]");
    assert_non_null(strstr(change_of(applied, "vms.httpd")->after, "\"-v\""));
    assert_null(change_of(applied, "vms.old")->after);
    assert_null(change_of(applied, "vms.new")->before);
    assert_int_equal(applied->changes.count, 7);
    for (size_t i = 0; i < applied->changes.count; i++)
        assert_string_equal(applied->changes.items[i].action, "change");

    const struct ph_pool_view *view = bed_pool(bed, "web");

    assert_int_equal(view->declared.priority, -3);
    assert_int_equal(view->vms.count, 2);
    assert_string_equal(view->vms.items[1].name, "new");
    assert_true(ph_record_equal(&ph_record_pool_spec, &view->declared, web));

    /* Only the order of the VMs. */
    struct ph_vm_spec first = web->vms.items[0];

    web->vms.items[0] = web->vms.items[1];
    web->vms.items[1] = first;
    applied = bed_apply(bed, &apply);
    assert_int_equal(applied->changes.count, 1);
    assert_string_equal(change_of(applied, "vms")->before, "[\"httpd\",\"new\"]");
    assert_string_equal(change_of(applied, "vms")->after, "[\"new\",\"httpd\"]");
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

/* ---- what is refused: each case spoils the second of two good pools ---- */
static void two_names(struct ph_pool_spec *spec)
{
    ph_text_format(spec->name, 64, "web");
}
static void bad_name(struct ph_pool_spec *spec)
{
    ph_text_format(spec->name, 64, "../etc");
}
static void bad_driver(struct ph_pool_spec *spec)
{
    ph_text_format(spec->driver, 64, "zfs");
}
static void near_driver(struct ph_pool_spec *spec)
{
    ph_text_format(spec->driver, 64, "brtfs");
}
static void no_image_size(struct ph_pool_spec *spec)
{
    ph_text_format(spec->driver, 64, "image");
    spec->disk_mib = 0;
}
static void small_xfs(struct ph_pool_spec *spec)
{
    ph_text_format(spec->driver, 64, "image");
    spec->image.file_system = PH_FILE_SYSTEM_XFS;
    spec->disk_mib = 299;
}
static void stray_settings(struct ph_pool_spec *spec)
{
    spec->image.file_system = PH_FILE_SYSTEM_XFS;
}
static void shared_nothing(struct ph_pool_spec *spec)
{
    ph_text_format(spec->driver, 64, "shared");
}
static void shared_relative(struct ph_pool_spec *spec)
{
    shared_nothing(spec);
    ph_set_text(&spec->shared.path, "srv");
}
static void shared_unfenced(struct ph_pool_spec *spec)
{
    shared_nothing(spec);
    ph_set_text(&spec->shared.path, "/srv");
}
static void shared_both(struct ph_pool_spec *spec)
{
    shared_unfenced(spec);
    ph_set_text(&spec->shared.source, "host:/srv");
}
static void shared_copies(struct ph_pool_spec *spec)
{
    shared_unfenced(spec);
    spec->copies = 1;
}
static void ocf_unnamed(struct ph_pool_spec *spec)
{
    ph_text_format(spec->driver, 64, "ocf");
}
static void ocf_outside(struct ph_pool_spec *spec)
{
    ocf_unnamed(spec);
    ph_set_text(&spec->ocf.agent, "ocf:..:passwd");
}
static void ocf_parameter(struct ph_pool_spec *spec)
{
    ocf_unnamed(spec);
    ph_set_text(&spec->ocf.agent, "ocf:heartbeat:Dummy");
    add(&spec->ocf.parameters, "=x");
}
static void bad_cpu(struct ph_pool_spec *spec)
{
    spec->cpu = -1;
}
static void bad_copies(struct ph_pool_spec *spec)
{
    spec->copies = PH_COPIES_MAX + 1;
}
static void short_loss(struct ph_pool_spec *spec)
{
    spec->copies = 1;
    spec->sync_interval_s = 60;
    spec->max_data_loss_s = 59;
}
static void no_interval(struct ph_pool_spec *spec)
{
    spec->copies = 1;
    spec->max_data_loss_s = 59;
}
static void no_time(struct ph_pool_spec *spec)
{
    spec->failback = PH_FAILBACK_AT;
}
static void bad_time(struct ph_pool_spec *spec)
{
    spec->failback = PH_FAILBACK_AT;
    ph_set_text(&spec->failback_at, "24:00");
}
static void time_for_nothing(struct ph_pool_spec *spec)
{
    ph_set_text(&spec->failback_at, "03:00");
}
static void bad_word(struct ph_pool_spec *spec)
{
    add(&spec->allow, "n1");
    add(&spec->allow, "N 2");
}
static void word_twice(struct ph_pool_spec *spec)
{
    add(&spec->prefer, "n1");
    add(&spec->prefer, "n1");
}
static void unknown_together(struct ph_pool_spec *spec)
{
    add(&spec->together, "nowhere");
}
static void unknown_apart(struct ph_pool_spec *spec)
{
    add(&spec->apart, "nowhere");
}
static void self_apart(struct ph_pool_spec *spec)
{
    add(&spec->apart, "db");
}
static void self_together(struct ph_pool_spec *spec)
{
    add(&spec->together, "db");
}
static void both(struct ph_pool_spec *spec)
{
    add(&spec->together, "web");
    add(&spec->apart, "web");
}
static void against_the_other(struct ph_pool_spec *spec)
{
    add(&spec->apart, "mail");
}
static void with_one_that_is_apart(struct ph_pool_spec *spec)
{
    add(&spec->together, "chat");
}
static void vm_twice(struct ph_pool_spec *spec)
{
    bed_vm(spec, "a");
    bed_vm(spec, "b");
    bed_vm(spec, "a");
}
static void bad_kind(struct ph_pool_spec *spec)
{
    ph_text_format(bed_vm(spec, "a")->kind, 64, "xen");
}
static struct ph_vm_spec *machine(struct ph_pool_spec *spec)
{
    struct ph_vm_spec *vm = bed_vm(spec, "a");

    ph_text_format(vm->kind, 64, "qemu");
    ph_texts_fini(&vm->command);
    return vm;
}
static void no_machine(struct ph_pool_spec *spec)
{
    machine(spec)->qemu.memory_mib = 64;
}
static struct ph_qemu_disk *disk(struct ph_vm_spec *vm)
{
    struct ph_qemu_disk *disk =
        ph_many_add(&ph_record_qemu_disk, (struct ph_many *)(void *)&vm->qemu.disks);

    ph_text_format(disk->name, 64, "root");
    return disk;
}
static void machine_outside(struct ph_pool_spec *spec)
{
    assert_int_equal(ph_set_text(&disk(machine(spec))->file, "../other/disk"), 0);
}
static void machine_for_nothing(struct ph_pool_spec *spec)
{
    disk(bed_vm(spec, "a"));
}
static void container_outside(struct ph_pool_spec *spec)
{
    struct ph_vm_spec *vm = bed_vm(spec, "a");

    ph_text_format(vm->kind, 64, "container");
    add(&vm->container.mounts, "../other:/srv");
}
static void container_for_nothing(struct ph_pool_spec *spec)
{
    bed_vm(spec, "a")->container.read_only = true;
}
static struct ph_vm_spec *resource(struct ph_pool_spec *spec)
{
    struct ph_vm_spec *vm = bed_vm(spec, "a");

    ph_text_format(vm->kind, 64, "ocf");
    ph_texts_fini(&vm->command);
    return vm;
}
static void no_resource(struct ph_pool_spec *spec)
{
    resource(spec);
}
static void resource_with_command(struct ph_pool_spec *spec)
{
    add(&resource(spec)->command, "true");
}
static void bad_label(struct ph_pool_spec *spec)
{
    add(&bed_vm(spec, "a")->labels, "important");
}
static void no_command(struct ph_pool_spec *spec)
{
    ph_texts_fini(&bed_vm(spec, "a")->command);
}
static void bad_placeholder(struct ph_pool_spec *spec)
{
    add(&bed_vm(spec, "a")->command, "--dir={poolpath}");
}
static void bad_signal(struct ph_pool_spec *spec)
{
    ph_text_format(bed_vm(spec, "a")->stop_signal, 64, "kill");
}
static void bad_variable(struct ph_pool_spec *spec)
{
    add(&bed_vm(spec, "a")->environment, "1A=b");
}
static void our_variable(struct ph_pool_spec *spec)
{
    add(&bed_vm(spec, "a")->environment, "POOLHERD_NODE=x");
}
static void variable_twice(struct ph_pool_spec *spec)
{
    struct ph_vm_spec *vm = bed_vm(spec, "a");

    add(&vm->environment, "A=1");
    add(&vm->environment, "A=2");
}

static void bad_declarations_change_nothing(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct ph_pool_spec *spec);
        const char *field, *says;
    } cases[] = {
        {two_names, "pools[1].name", "twice"},
        {bad_name, "pools[1].name", ""},
        {bad_driver, "pools[1].driver", "there are directory, btrfs, image, shared and ocf"},
        {near_driver, "pools[1].driver", "did you mean \"btrfs\"?"},
        {no_image_size, "pools[1].disk_mib", "8 to 16777216 MiB"},
        {small_xfs, "pools[1].disk_mib", "with xfs needs 300"},
        {stray_settings, "pools[1].image", "its driver is directory"},
        {shared_nothing, "pools[1].shared", "either a path"},
        {shared_both, "pools[1].shared.path", "either a path"},
        {shared_relative, "pools[1].shared.path", "absolute"},
        {shared_copies, "pools[1].copies", "must be 0"},
        {shared_unfenced, "pools[1].shared", "node n1 has no fence device"},
        {ocf_unnamed, "pools[1].ocf.agent", "ocf:PROVIDER:TYPE"},
        {ocf_outside, "pools[1].ocf.agent", "ocf:PROVIDER:TYPE"},
        {ocf_parameter, "pools[1].ocf.parameters[0]", "NAME=value"},
        {bad_cpu, "pools[1].cpu", ""},
        {bad_copies, "pools[1].copies", ""},
        {short_loss, "pools[1].max_data_loss_s", "must be at least sync_interval_s (60)"},
        {no_interval, "pools[1].sync_interval_s", "1 to 59"},
        {no_time, "pools[1].failback_at", "HH:MM"},
        {bad_time, "pools[1].failback_at", "\"24:00\" must be a time of day"},
        {time_for_nothing, "pools[1].failback_at", "failback: at"},
        {bad_word, "pools[1].allow[1]", "must be a node's name, or a label"},
        {word_twice, "pools[1].prefer[1]", "twice"},
        {unknown_together, "pools[1].together[0]", "no pool nowhere"},
        {unknown_apart, "pools[1].apart[0]", "no pool nowhere"},
        {self_apart, "pools[1].apart[0]", "itself"},
        {self_together, "pools[1].together[0]", "itself"},
        {both, "pools[1].apart[0]", "both together and apart"},
        {against_the_other, "pools[1].apart[0]", "both together and apart"},
        {with_one_that_is_apart, "pools[1].together[0]", "both together and apart"},
        {vm_twice, "pools[1].vms", "vm a is declared twice"},
        {container_outside, "pools[1].vms[0].container.mounts[0]", "PATH-IN-POOL"},
        {container_for_nothing, "pools[1].vms[0].container", "is for kind: container"},
        {no_resource, "pools[1].vms[0].ocf.agent", "ocf:PROVIDER:TYPE"},
        {resource_with_command, "pools[1].vms[0].command", "is for kind: process"},
        {bad_kind, "pools[1].vms[0].kind", "there are process, qemu, container and ocf"},
        {no_machine, "pools[1].vms[0].qemu.disks", "neither a disk nor a kernel"},
        {machine_outside, "pools[1].vms[0].qemu.disks[0].file", "must be a path in the pool"},
        {machine_for_nothing, "pools[1].vms[0].qemu", "kind: qemu"},
        {bad_label, "pools[1].vms[0].labels[0]", "key=value"},
        {no_command, "pools[1].vms[0].command", "needs a command"},
        {bad_placeholder, "pools[1].vms[0].command[2]",
            "{pool_path}, {pool}, {node}, {epoch}, {vm}"},
        {bad_signal, "pools[1].vms[0].stop_signal", "term"},
        {bad_variable, "pools[1].vms[0].environment[0]", "NAME=value"},
        {our_variable, "pools[1].vms[0].environment[0]", "agent"},
        {variable_twice, "pools[1].vms[0].environment[1]", "A is set twice"},
    };
    struct bed *bed = bed_three();
    struct ph_apply before = {0};

    /* Declared before, and not in the file: its rules count too. */
    add(&bed_spec(&before, "mail")->together, "db");
    bed_spec(&before, "db");
    add(&bed_spec(&before, "chat")->apart, "db");
    bed_apply(bed, &before);
    ph_record_fini(&ph_record_apply, &before);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_apply apply = {0};

        bed_spec(&apply, "web");
        cases[i].spoil(bed_spec(&apply, "db"));
        bed_refused(bed, PH_MSG_APPLY, &apply, "bad_input", cases[i].field, cases[i].says);
        ph_record_fini(&ph_record_apply, &apply);
    }
    assert_int_equal(((struct ph_pools_shown *)bed_get(
                          bed, PH_MSG_POOL_LIST, &(struct ph_nothing){0}, PH_MSG_POOLS_SHOWN))
                         ->pools.count,
        3);
    bed_free(bed);
}

static void lenient_where_nodes_may_come_later(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};
    struct ph_pool_spec *web = bed_spec(&apply, "web");
    struct ph_vm_spec *vm = bed_vm(web, "a");

    web->copies = PH_COPIES_MAX;
    add(&web->allow, "n9");
    /* Braces that are no placeholder stand for themselves. */
    add(&vm->command, "${HOME} {} { {\"a\":1} {Pool} {pool{vm}");
    add(&vm->command, "{pool}{node}{epoch}{vm}");
    assert_int_equal(bed_apply(bed, &apply)->added, 1);
    const struct ph_pool_view *view = bed_pool(bed, "web");

    assert_string_equal(view->node, "");
    assert_true(view->reason != NULL && view->reason[0] != '\0');
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

static void the_driver_stays_with_the_data(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_pool row = {.state = PH_POOL_UNASSIGNED, .epoch = 3, .created = true, .revision = 1};
    struct ph_apply apply = {0};

    ph_text_format(row.name, sizeof row.name, "web");
    ph_text_format(row.driver, sizeof row.driver, "directory");
    row.desired = PH_DESIRED_INACTIVE;
    bed_node(bed, "n1");
    bed_load(bed, &ph_record_pool, &row);
    bed_ready(bed);
    ph_text_format(bed_spec(&apply, "web")->driver, 64, "btrfs");
    apply.pools.items[0].desired = PH_DESIRED_INACTIVE;
    bed_refused(bed, PH_MSG_APPLY, &apply, "state_forbids", "pools[0].driver", "directory");
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

/* An image grows, and neither shrinks nor becomes another file system. Settings survive the inventory. */
static void an_image_grows(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_pool row = {.state = PH_POOL_UNASSIGNED,
        .epoch = 3,
        .created = true,
        .revision = 1,
        .disk_mib = 400,
        .desired = PH_DESIRED_INACTIVE};
    struct ph_apply apply = {0};
    const struct ph_applied *applied;

    ph_text_format(row.name, sizeof row.name, "web");
    ph_text_format(row.driver, sizeof row.driver, "image");
    ph_set_text(&row.settings, "{\"image\":{\"file_system\":\"xfs\"}}");
    bed_node(bed, "n1");
    bed_load(bed, &ph_record_pool, &row);
    ph_record_fini(&ph_record_pool, &row);
    bed_ready(bed);
    struct ph_pool_spec *web = bed_spec(&apply, "web");

    ph_text_format(web->driver, 64, "image");
    web->desired = PH_DESIRED_INACTIVE;
    web->disk_mib = 400;
    bed_refused(bed, PH_MSG_APPLY, &apply, "bad_input", "pools[0].image.file_system", "another");
    web->image.file_system = PH_FILE_SYSTEM_XFS;
    web->disk_mib = 399;
    bed_refused(bed, PH_MSG_APPLY, &apply, "bad_input", "pools[0].disk_mib", "never shrinks");
    web->disk_mib = 500;
    applied = bed_apply(bed, &apply);
    assert_int_equal(applied->changed, 1);
    assert_string_equal(change_of(applied, "disk_mib")->after, "500");
    for (size_t i = 0; i < applied->changes.count; i++)
        assert_string_not_equal(applied->changes.items[i].field, "image");
    applied = bed_apply(bed, &apply);
    assert_int_equal(applied->unchanged, 1);
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

static void prunes_what_is_not_named(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};
    const struct ph_applied *applied;

    bed_spec(&apply, "a")->desired = PH_DESIRED_INACTIVE;
    bed_spec(&apply, "b")->desired = PH_DESIRED_INACTIVE;
    bed_spec(&apply, "c")->desired = PH_DESIRED_INACTIVE;
    bed_apply(bed, &apply);
    ph_record_fini(&ph_record_apply, &apply);

    /* A rule about a pool that would go is a fault. */
    add(&bed_spec(&apply, "b")->together, "c");
    apply.pools.items[0].desired = PH_DESIRED_INACTIVE;
    apply.prune = true;
    bed_refused(bed, PH_MSG_APPLY, &apply, "bad_input", "pools[0].together[0]", "no pool c");
    ph_texts_fini(&apply.pools.items[0].together);
    apply.dry_run = true;
    applied = bed_apply(bed, &apply);
    assert_int_equal(applied->removed, 2);
    assert_int_equal(applied->unchanged, 1);
    assert_string_equal(applied->changes.items[0].action, "remove");
    assert_string_equal(applied->changes.items[0].pool, "a");
    assert_string_equal(applied->changes.items[1].pool, "c");
    apply.dry_run = false;
    applied = bed_apply(bed, &apply);
    assert_int_equal(applied->removed, 2);
    /* Nothing of them ran, so that they are gone, or a job is at it. */
    apply.prune = false;
    bed_get(bed, PH_MSG_POOL_LIST, &(struct ph_nothing){0}, PH_MSG_POOLS_SHOWN);
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

static void relations_follow_the_rules(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};

    /* b says that it is apart from a: then a may not join b either, whoever declared it. */
    bed_spec(&apply, "a");
    add(&bed_spec(&apply, "b")->apart, "a");
    bed_apply(bed, &apply);
    char first[64];

    ph_text_format(first, sizeof first, "%s", bed_pool(bed, "a")->node);
    assert_string_not_equal(first, "");
    assert_string_not_equal(bed_pool(bed, "b")->node, first);
    /* The rule can go again: then nothing of it is left. */
    ph_texts_fini(&apply.pools.items[1].apart);
    assert_int_equal(bed_apply(bed, &apply)->changed, 1);
    const struct ph_pool *saved = NULL;

    for (size_t i = 0; i < bed->effects.count; i++) {
        if (bed->effects.items[i].record == &ph_record_pool)
            saved = bed->effects.items[i].value;
    }
    assert_non_null(saved);
    assert_string_equal(saved->name, "b");
    assert_int_equal(saved->revision, 2);
    struct ph_named named = {.name = "a"};
    const struct ph_explanation *why =
        bed_get(bed, PH_MSG_POOL_EXPLAIN, &named, PH_MSG_EXPLANATION);

    for (size_t i = 0; i < 3; i++)
        assert_true(why->candidates.items[i].possible);
    /* And come back, declared by the other one. */
    add(&apply.pools.items[0].apart, "b");
    assert_int_equal(bed_apply(bed, &apply)->changed, 1);
    why = bed_get(bed, PH_MSG_POOL_EXPLAIN, &named, PH_MSG_EXPLANATION);
    size_t possible = 0;

    for (size_t i = 0; i < 3; i++)
        possible += why->candidates.items[i].possible;
    assert_int_equal(possible, 2);
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

static void empty_files_do_nothing(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};

    assert_int_equal(bed_apply(bed, &apply)->added, 0);
    assert_int_equal(bed->effects.count, 1);
    bed->role = PH_ROLE_VIEWER;
    bed_refused(bed, PH_MSG_APPLY, &apply, "not_allowed", "", "operator");
    bed_free(bed);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Not a timing test: it catches work that grows with the square of the pools, of which 10,000 make
 * minutes. */
static void ten_thousand_pools(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};
    char name[32];
    double start;

    for (int i = 0; i < 10000; i++) {
        ph_text_format(name, sizeof name, "p%05d", (i * 7919) % 10000);
        struct ph_pool_spec *spec = bed_spec(&apply, name);

        spec->cpu = spec->memory_mib = spec->disk_mib = 0;
        spec->desired = PH_DESIRED_ACTIVE;
        bed_vm(spec, "a");
        if (i > 0)
            add(i % 2 ? &spec->together : &spec->apart, apply.pools.items[i - 1].name);
    }
    start = seconds();
    assert_int_equal(bed_apply(bed, &apply)->added, 10000);
    double added = seconds() - start;

    for (int i = 0; i < 10000; i++)
        apply.pools.items[i].priority = 1;
    start = seconds();
    assert_int_equal(bed_apply(bed, &apply)->changed, 10000);
    double changed = seconds() - start;

    start = seconds();
    assert_int_equal(bed_apply(bed, &apply)->unchanged, 10000);
    print_message("10000 pools: added in %.2f s, changed in %.2f s, compared in %.2f s\n", added,
        changed, seconds() - start);
    assert_true(added < 30 && changed < 30);
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_and_is_idempotent),
        cmocka_unit_test(shows_what_changes),
        cmocka_unit_test(bad_declarations_change_nothing),
        cmocka_unit_test(lenient_where_nodes_may_come_later),
        cmocka_unit_test(the_driver_stays_with_the_data),
        cmocka_unit_test(an_image_grows),
        cmocka_unit_test(prunes_what_is_not_named),
        cmocka_unit_test(relations_follow_the_rules),
        cmocka_unit_test(empty_files_do_nothing),
        cmocka_unit_test(ten_thousand_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
