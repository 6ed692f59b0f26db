/* What lets go of a resource: written down, run, kept until it succeeded. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent/ocf/ocf.h"
#include "base/file.h"

/* Answers to `stop` what its parameter says, and notes that it was asked. */
static const char stand_in[] = "#!/bin/sh\n"
                               "[ \"$1\" = stop ] || exit 3\n"
                               "[ -n \"$OCF_RESKEY_slow\" ] && exec sleep 1000\n"
                               "echo \"$OCF_RESOURCE_INSTANCE\" >>\"$OCF_RESKEY_notes\"\n"
                               "exit \"$(cat \"$OCF_RESKEY_answer\")\"\n";

struct bed {
    char directory[64], notes[128], answer[128], file[128];
    struct ph_texts parameters;
    struct ph_ocf ocf;
};

static void put(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(ph_file_replace(path, text, strlen(text), mode), 0);
}

static int setup(void **state)
{
    struct bed *bed = calloc(1, sizeof *bed);
    char path[128], text[200];
    strcpy(bed->directory, "/tmp/poolherd-ocf-XXXXXX");
    assert_non_null(mkdtemp(bed->directory));
    snprintf(path, sizeof path, "%s/ocf/resource.d/test", bed->directory);
    assert_int_equal(ph_directory_make(path), 0);
    snprintf(path, sizeof path, "%s/ocf/resource.d/test/thing", bed->directory);
    put(path, stand_in, 0755);
    snprintf(path, sizeof path, "%s/ocf", bed->directory);
    ph_ocf_set_root(path);
    snprintf(bed->notes, sizeof bed->notes, "%s/notes", bed->directory);
    snprintf(bed->answer, sizeof bed->answer, "%s/answer", bed->directory);
    snprintf(bed->file, sizeof bed->file, "%s/a.release", bed->directory);
    snprintf(text, sizeof text, "notes=%s", bed->notes);
    assert_int_equal(ph_texts_add(&bed->parameters, text), 0);
    snprintf(text, sizeof text, "answer=%s", bed->answer);
    assert_int_equal(ph_texts_add(&bed->parameters, text), 0);
    bed->ocf = (struct ph_ocf){
        .agent = "ocf:test:thing", .instance = "the one", .parameters = &bed->parameters};
    *state = bed;
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"notes", "answer", "a.release", "b.release",
        "ocf/resource.d/test/thing", "ocf/resource.d/test", "ocf/resource.d", "ocf", ""};
    struct bed *bed = *state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", bed->directory, files[i]);
        (void)remove(path);
    }
    ph_texts_fini(&bed->parameters);
    free(bed);
    return 0;
}

static void stays_until_it_succeeds(void **state)
{
    struct bed *bed = *state;
    struct ph_error error = {0};
    char *text = NULL;
    put(bed->answer, "1\n", 0600);
    assert_int_equal(ph_ocf_write_release(&bed->ocf, bed->file, &error), 0);
    assert_int_equal(ph_ocf_run_release(bed->file, 10000, &error), -EIO);
    assert_non_null(strstr(error.message, "a.release"));
    assert_non_null(strstr(error.message, "1 (failed)"));
    assert_int_equal(access(bed->file, F_OK), 0);
    put(bed->answer, "0\n", 0600);
    assert_int_equal(ph_ocf_run_release(bed->file, 10000, &error), 0);
    assert_int_not_equal(access(bed->file, F_OK), 0);
    assert_int_equal(ph_ocf_run_release(bed->file, 10000, &error), 0); /* there is nothing to do */
    assert_int_equal(ph_file_read(bed->notes, 1000, &text, NULL), 0);
    assert_string_equal(text, "the one\nthe one\n");
    free(text);
}

static void one_that_hangs_is_ended(void **state)
{
    struct bed *bed = *state;
    struct ph_error error = {0};
    assert_int_equal(ph_texts_add(&bed->parameters, "slow=yes"), 0);
    assert_int_equal(ph_ocf_write_release(&bed->ocf, bed->file, &error), 0);
    assert_int_equal(ph_ocf_run_release(bed->file, 100, &error), -ETIMEDOUT);
    assert_int_equal(access(bed->file, F_OK), 0);
}

static void all_of_a_directory_are_tried(void **state)
{
    struct bed *bed = *state;
    struct ph_error error = {0};
    char other[128];
    put(bed->answer, "0\n", 0600);
    snprintf(other, sizeof other, "%s/b.release", bed->directory);
    put(other, "A=b\n", 0600); /* cut off */
    assert_int_equal(ph_ocf_write_release(&bed->ocf, bed->file, &error), 0);
    assert_int_equal(ph_ocf_run_releases(bed->directory, 10000, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "b.release"));
    assert_int_not_equal(access(bed->file, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(ph_ocf_run_releases(bed->directory, 10000, &error), 0);
    snprintf(other, sizeof other, "%s/none", bed->directory);
    assert_int_equal(ph_ocf_run_releases(other, 10000, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stays_until_it_succeeds, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_hangs_is_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(all_of_a_directory_are_tried, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
