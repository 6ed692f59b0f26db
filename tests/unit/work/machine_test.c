/* The command line of a machine: the same wherever it runs, and no name can break out of its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "agent/work/qemu_machine.h"
#include "proto/codec.h"
#include "proto/qemu.h"

struct bed {
    struct ph_pool pool;
    struct ph_vm vm;
    struct ph_qemu qemu;
    struct ph_work_context context;
    struct ph_texts words;
};

static void bed_make(struct bed *bed, const char *settings)
{
    struct ph_error error = {0};
    memset(bed, 0, sizeof *bed);
    strcpy(bed->pool.name, "shop");
    strcpy(bed->vm.name, "db");
    strcpy(bed->vm.kind, "qemu");
    bed->vm.qemu = strdup(settings);
    bed->context = (struct ph_work_context){
        .pool = &bed->pool, .vm = &bed->vm, .pool_path = "/pool,a", .cluster = "c1"};
    if (ph_qemu_of(&bed->vm, &bed->qemu, &error) != 0 || ph_qemu_check(&bed->qemu, &error) != 0)
        fail_msg("%s: %s", error.field, error.message);
    struct ph_qemu_machine machine = {.context = &bed->context,
        .qemu = &bed->qemu,
        .seed = "",
        .firmware_code = "",
        .firmware_vars = ""};
    assert_int_equal(ph_qemu_command(&machine, &bed->words), 0);
}

static void bed_free(struct bed *bed)
{
    ph_texts_fini(&bed->words);
    ph_record_fini(&ph_record_qemu, &bed->qemu);
    ph_record_fini(&ph_record_vm, &bed->vm);
}

static bool has(const struct bed *bed, const char *option, const char *part)
{
    for (size_t i = 0; i + 1 < bed->words.count; i++)
        if (strcmp(bed->words.items[i], option) == 0 &&
            strstr(bed->words.items[i + 1], part) != NULL)
            return true;
    return false;
}

static void what_is_declared(void **state)
{
    (void)state;
    struct bed bed;
    bed_make(&bed,
        "{\"cpus\": 2, \"memory_mib\": 256, \"disks\": [{\"name\": \"root\", \"size_mib\": 8, "
        "\"iops\": 100}, {\"name\": \"iso\", \"media\": \"cdrom\", \"file\": \"/srv/a,b.iso\"}], "
        "\"boot\": [\"iso\", \"root\"], \"nics\": [{\"name\": \"lan\", \"kind\": \"tap\", "
        "\"bridge\": \"br0\"}, {\"name\": \"out\", \"forward\": [\"127.0.0.1:8080:80\"]}], "
        "\"vnc\": {\"address\": \"::1\", \"port\": 5907, \"password_file\": \"vnc.secret\"}}");
    assert_true(has(&bed, "-machine", PH_QEMU_MACHINE));
    assert_true(has(&bed, "-sandbox", "on,"));
    assert_true(has(&bed, "-accel", "tcg"));
    assert_true(has(&bed, "-smp", "cpus=2"));
    assert_true(has(&bed, "-m", "size=256M"));
    /* A comma in a path stays in its string. */
    assert_true(has(&bed, "-blockdev", "\"filename\":\"/pool,a/db-root.qcow2\""));
    assert_true(has(&bed, "-blockdev", "\"filename\":\"/srv/a,b.iso\",\"read-only\":true"));
    assert_true(has(&bed, "-object", "\"iops-total\":100"));
    assert_true(has(&bed, "-device",
        "\"virtio-blk-pci\",\"id\":\"dev-root\",\"drive\":\"limit-root\",\"serial\":\"root\","
        "\"bootindex\":2"));
    assert_true(has(&bed, "-device", "\"bus\":\"ide.0\",\"bootindex\":1"));
    assert_true(has(&bed, "-netdev", "\"type\":\"tap\""));
    assert_true(has(&bed, "-netdev", "tcp:127.0.0.1:8080-:80"));
    assert_true(has(&bed, "-vnc", "[::1]:7,password=on"));
    for (size_t i = 0; i < bed.words.count; i++)
        assert_null(strstr(bed.words.items[i], "secret")); /* not even where it is */
    bed_free(&bed);
}

static void the_same_everywhere(void **state)
{
    (void)state;
    struct bed one, other;
    char mac[18], again[18], tap[PH_QEMU_TAP_BYTES], uuid[37];
    bed_make(&one, "{\"kernel\": \"/k\", \"nics\": [{\"name\": \"net\"}, {\"name\": \"two\"}, "
                   "{\"name\": \"own\", \"mac\": \"52:54:00:AB:cd:01\"}]}");
    bed_make(&other, "{\"kernel\": \"/k\", \"nics\": [{\"name\": \"net\"}]}");
    other.context.node = "n2";
    other.context.epoch = 7;
    ph_qemu_mac(&one.context, &one.qemu.nics.items[0], mac);
    ph_qemu_mac(&other.context, &other.qemu.nics.items[0], again);
    assert_string_equal(mac, again);
    assert_string_equal(
        mac, "02:3c:d7:c7:b5:f5"); /* for ever: another version must not change it */
    ph_qemu_mac(&one.context, &one.qemu.nics.items[1], again);
    assert_string_not_equal(mac, again);
    other.context.cluster = "c2";
    ph_qemu_mac(&other.context, &other.qemu.nics.items[0], again);
    assert_string_not_equal(mac, again);
    ph_qemu_mac(&one.context, &one.qemu.nics.items[2], mac);
    assert_string_equal(mac, "52:54:00:ab:cd:01");
    ph_qemu_tap(&one.context, &one.qemu.nics.items[0], tap);
    assert_int_equal(strlen(tap), 14);
    ph_qemu_uuid(&one.context, uuid);
    assert_int_equal(uuid[14], '8');
    bed_free(&one);
    bed_free(&other);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *settings, *field, *says;
    } cases[] = {
        {"{\"disks\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", "disks[1].name", "two disks"},
        {"{\"disks\": [{\"name\": \"a\", \"file\": \"../a\"}]}", "disks[0].file", "in the pool"},
        {"{\"disks\": [{\"name\": \"a\", \"file\": \"a/./b\"}]}", "disks[0].file", "in the pool"},
        {"{\"disks\": [{\"name\": \"a\", \"file\": \"a//b\"}]}", "disks[0].file", "in the pool"},
        {"{\"disks\": [{\"name\": \"a\", \"file\": \"/a\"}]}", "disks[0].file", "in the pool"},
        {"{\"disks\": [{\"name\": \"a\", \"file\": \"x\"}, {\"name\": \"b\", \"file\": \"x\"}]}",
            "disks[1].file", "another disk"},
        {"{\"disks\": [{\"name\": \"a\", \"media\": \"cdrom\"}]}", "disks[0].file", "cdrom needs"},
        {"{\"kernel\": \"/k\", \"nics\": [{\"name\": \"n\", \"mac\": \"01:00:00:00:00:01\"}]}",
            "nics[0].mac", "one machine"},
        {"{\"kernel\": \"/k\", \"nics\": [{\"name\": \"n\", \"kind\": \"tap\"}]}", "nics[0].bridge",
            "bridge on the node"},
        {"{\"kernel\": \"/k\", \"nics\": [{\"name\": \"n\", \"forward\": [\"127.0.0.1:0:80\"]}]}",
            "nics[0].forward", "ADDRESS:PORT:GUESTPORT"},
        {"{\"kernel\": \"/k\", \"nics\": [{\"name\": \"n\", \"forward\": "
         "[\"127.0.0.1:80:80,guestfwd=x\"]}]}",
            "nics[0].forward", "ADDRESS:PORT:GUESTPORT"},
        {"{\"kernel\": \"/k\", \"boot\": [\"disk\"]}", "boot", "neither a disk nor a nic"},
        {"{\"initrd\": \"/i\"}", "initrd", "for a kernel"},
        {"{\"memory_mib\": 64}", "disks", "neither a disk nor a kernel"},
        {"{\"kernel\": \"/k\", \"machine\": \"q35,accel=kvm\"}", "machine", "machine type"},
        {"{\"kernel\": \"/k\", \"vnc\": {\"address\": \"0.0.0.0,to=9\"}}", "vnc.address",
            "IP address"},
        {"{\"kernel\": \"/k\", \"vnc\": {\"address\": \"::\", \"port\": 80}}", "vnc.port", "5900"},
        {"{\"kernel\": \"/k\", \"cloud_init\": {\"user_data\": \"a\", \"user_data_file\": \"b\"}}",
            "cloud_init.user_data_file", "only one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_qemu qemu = {0};
        struct ph_error error = {0};
        assert_int_equal(
            ph_decode(&ph_record_qemu, cases[i].settings, strlen(cases[i].settings), &qemu, &error),
            0);
        if (ph_qemu_check(&qemu, &error) == 0 || strcmp(error.field, cases[i].field) != 0 ||
            strstr(error.message, cases[i].says) == NULL)
            fail_msg("case %zu: %s: %s", i, error.field, error.message);
        ph_record_fini(&ph_record_qemu, &qemu);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_declared),
        cmocka_unit_test(the_same_everywhere), cmocka_unit_test(what_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
