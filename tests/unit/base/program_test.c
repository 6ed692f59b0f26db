#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/program.h"

static void finds_what_lies_beside_it(void **state)
{
    char path[PATH_MAX];
    (void)state;
    assert_int_equal(ph_program_beside("unit_base_program_test", path), 0);
    assert_int_equal(access(path, X_OK), 0);
    assert_string_equal(strrchr(path, '/'), "/unit_base_program_test");
}

static void says_what_is_not_there(void **state)
{
    char path[PATH_MAX] = "untouched", longest[PATH_MAX + 1];
    (void)state;
    assert_int_equal(ph_program_beside("no such program", path), -ENOENT);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(ph_program_beside(longest, path), -ENAMETOOLONG);
    assert_string_equal(path, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_lies_beside_it),
        cmocka_unit_test(says_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
