#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "poolherd/error.h"
#include "poolherd/limits.h"

static void format_cuts_at_a_character(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *kept;
    } cases[] = {
        {"abc", 4, "abc"},
        {"abc", 3, "ab"},
        {"abc", 1, ""},
        {"a\xc3\xa4", 4, "a\xc3\xa4"},
        {"a\xc3\xa4z", 3, "a"},
        {"a\xc3\xa4z", 4, "a\xc3\xa4"},
        {"\xe2\x82\xac\xe2\x82\xac", 6, "\xe2\x82\xac"},
        {"\xf0\x9f\x98\x80", 4, ""},
        {"\xf0\x9f\x98\x80x", 5, "\xf0\x9f\x98\x80"},
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t stored = ph_text_format(out, cases[i].size, "%s", cases[i].text);
        assert_string_equal(out, cases[i].kept);
        assert_int_equal(stored, strlen(cases[i].kept));
    }
}

static void names(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"a", true},
        {"0", true},
        {"web-1.db_x", true},
        {"9lives", true},
        {"", false},
        {".", false},
        {"..", false},
        {".a", false},
        {"-a", false},
        {"_a", false},
        {"A", false},
        {"a b", false},
        {"a/b", false},
        {"a\n", false},
        {"\xc3\xa4", false},
        {"a\x7f", false},
        {"a..", true},
    };
    char longest[PH_NAME_BYTES_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ph_name_valid(cases[i].name), cases[i].valid);
    memset(longest, 'a', sizeof longest);
    longest[PH_NAME_BYTES_MAX + 1] = '\0';
    assert_false(ph_name_valid(longest));
    longest[PH_NAME_BYTES_MAX] = '\0';
    assert_true(ph_name_valid(longest));
}

static void utf8(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
        bool valid;
    } cases[] = {
        {"", 0, true},
        {"abc", 3, true},
        {"a\0b", 3, false},
        {"\xc2\x80", 2, true},
        {"\xc0\x80", 2, false},
        {"\xc1\xbf", 2, false},
        {"\xe0\x9f\xbf", 3, false},
        {"\xe0\xa0\x80", 3, true},
        {"\xed\xa0\x80", 3, false},
        {"\xed\x9f\xbf", 3, true},
        {"\xf0\x8f\xbf\xbf", 4, false},
        {"\xf0\x90\x80\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"\xf4\x90\x80\x80", 4, false},
        {"\xf5\x80\x80\x80", 4, false},
        {"\x80", 1, false},
        {"\xe2\x82", 2, false},
        {"\xe2\x82x", 3, false},
        {"\xff", 1, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ph_utf8_valid(cases[i].text, cases[i].bytes), cases[i].valid);
}

static void printable(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *shown;
    } cases[] = {
        {"plain", 32, "plain"},
        {"a\nb", 32, "a\\x0ab"},
        {"\x1b[31m", 32, "\\x1b[31m"},
        {"\xff", 32, "\\xff"},
        {"\xc2\x9bx", 32, "\\xc2\\x9bx"},
        {"\xe2\x80\xae", 32, "\\xe2\\x80\\xae"},
        {"\xc3\xa4", 32, "\xc3\xa4"},
        {"abcdefghij", 8, "abcd..."},
        {"abcdefg", 8, "abcdefg"},
        {"abcdefgh", 4, "..."},
        {"abcdefgh", 1, ""},
        {"abcd\n\n\n", 12, "abcd\\x0a..."},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(ph_text_printable(out, cases[i].size, cases[i].text), cases[i].shown);
}

static void lists(void **state)
{
    struct ph_texts a = {0, NULL}, b = {0, NULL};
    char item[8];

    (void)state;
    assert_true(ph_texts_equal(&a, &b));
    for (int i = 0; i < 37; i++) {
        ph_text_format(item, sizeof item, "i%d", i);
        assert_int_equal(ph_texts_add(&a, item), 0);
    }
    assert_true(ph_texts_contain(&a, "i36"));
    assert_false(ph_texts_contain(&a, "i37"));
    assert_int_equal(ph_texts_copy(&b, &a), 0);
    assert_int_equal(ph_texts_copy(&b, &a), 0); /* replaces */
    assert_true(ph_texts_equal(&a, &b));
    assert_int_equal(ph_texts_add(&b, "more"), 0);
    assert_false(ph_texts_equal(&a, &b));
    ph_texts_fini(&a);
    assert_int_equal(a.count, 0);
    assert_int_equal(ph_texts_add(&a, "usable"), 0);
    ph_texts_fini(&a);
    ph_texts_fini(&b);
}

static void heap_text(void **state)
{
    (void)state;
    char *text = ph_text_new("%s-%d", "pool", 7);
    assert_string_equal(text, "pool-7");
    free(text);
}

static void errors(void **state)
{
    static const enum ph_code codes[] = {PH_OK, PH_FAILED, PH_BAD_INPUT, PH_UNREACHED,
        PH_NOT_ALLOWED, PH_NOT_FOUND, PH_STATE_FORBIDS};
    struct ph_error error = {.code = PH_OK};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(ph_code_from_name(ph_code_name(codes[i])), codes[i]);
    assert_int_equal(ph_code_from_name("nonsense"), PH_FAILED);
    assert_int_equal(ph_code_from_name(NULL), PH_FAILED);
    assert_string_equal(ph_code_name((enum ph_code)99), "failed");
    assert_int_equal(ph_error_set(&error, PH_NOT_FOUND, "pool", "no pool %s", "web"), -ENOENT);
    assert_int_equal(error.code, PH_NOT_FOUND);
    assert_string_equal(error.field, "pool");
    assert_string_equal(error.message, "no pool web");
    /* An argument may be a part of the error itself. */
    assert_int_equal(ph_error_set(&error, PH_BAD_INPUT, NULL, "again: %s", error.message), -EINVAL);
    assert_string_equal(error.message, "again: no pool web");
    assert_string_equal(error.field, "");
    assert_int_equal(ph_error_set(&error, PH_FAILED, NULL, "%s", ""), -EIO);
    assert_string_equal(error.message, "failed"); /* never empty */
    assert_int_equal(ph_error_set(NULL, PH_STATE_FORBIDS, NULL, "x"), -EBUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_cuts_at_a_character),
        cmocka_unit_test(names),
        cmocka_unit_test(utf8),
        cmocka_unit_test(printable),
        cmocka_unit_test(lists),
        cmocka_unit_test(heap_text),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
