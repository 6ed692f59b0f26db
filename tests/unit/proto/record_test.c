#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "proto/catalogue.h"
#include "proto/codec.h"

/* The catalogue itself: what everything else takes for granted. */
static void catalogue_is_sound(const struct ph_record *record)
{
    bool optional_seen = false;

    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        assert_true(field->offset < record->size);
        assert_true(field->min <= field->max);
        assert_true(field->doc[0] != '\0');
        assert_ptr_equal(ph_record_field(record, field->name), field); /* so no name twice */
        assert_int_equal(field->kind == PH_FIELD_ENUM, field->enumeration != NULL);
        assert_int_equal(
            field->kind == PH_FIELD_ONE || field->kind == PH_FIELD_MANY, field->record != NULL);
        if (field->kind == PH_FIELD_TEXT || field->kind == PH_FIELD_TEXTS ||
            field->kind == PH_FIELD_MANY)
            assert_true(field->min >= 0);
        if ((field->flags & PH_KEY) == PH_KEY)
            assert_false(optional_seen); /* keys come first */
        optional_seen = optional_seen || (field->flags & PH_REQ) == 0;
    }
    assert_null(ph_record_field(record, "no such field"));
}

static void every_entry_is_sound(void **state)
{
#define CHECK_RECORD(name) catalogue_is_sound(&ph_record_##name);
#define CHECK_ENUM(name)                                                                           \
    for (size_t i = 0; i < ph_enum_##name.count; i++) {                                            \
        assert_int_equal(ph_enum_value(&ph_enum_##name, ph_enum_##name.words[i]), i);              \
        assert_string_equal(ph_enum_word(&ph_enum_##name, (int)i), ph_enum_##name.words[i]);       \
    }
    (void)state;
    PH_SETTINGS_RECORDS(CHECK_RECORD)
    PH_RECORDS(CHECK_RECORD)
    PH_AGENT_RECORDS(CHECK_RECORD)
    PH_OPERATOR_RECORDS(CHECK_RECORD)
    PH_STREAM_RECORDS(CHECK_RECORD)
    PH_DECLARATION_RECORDS(CHECK_RECORD)
    PH_FENCING_RECORDS(CHECK_RECORD)
    PH_CONFIG_RECORDS(CHECK_RECORD)
    PH_ENUMS(CHECK_ENUM)
    assert_string_equal(ph_enum_word(&ph_enum_role, 99), "?");
    assert_string_equal(ph_enum_word(&ph_enum_role, -1), "?");
    assert_int_equal(ph_enum_value(&ph_enum_role, "Admin"), -1);
    for (int i = 0; i < PH_MESSAGE_TYPES; i++) {
        assert_true(ph_messages[i].bytes_max <= PH_MESSAGE_BYTES_MAX);
        assert_int_equal(ph_message_type_find(ph_messages[i].type), i); /* so no type twice */
    }
    assert_int_equal(ph_message_type_find(""), -1);
    assert_int_equal(ph_message_type_find("beats"), -1);
}

static struct ph_pool_spec good_spec(void)
{
    struct ph_pool_spec spec = {.name = "web", .driver = "directory", .copies = 1};
    struct ph_vm_spec *vm = ph_many_add(&ph_record_vm_spec, (struct ph_many *)&spec.vms);

    strcpy(vm->name, "vm");
    strcpy(vm->kind, "process");
    assert_int_equal(ph_texts_add(&vm->command, "true"), 0);
    assert_int_equal(ph_texts_add(&spec.allow, "n1"), 0);
    return spec;
}

static void check_says_what_is_wrong(void **state)
{
    struct ph_pool_spec spec = good_spec();
    struct ph_error error;

#define EXPECT(path, says)                                                                         \
    do {                                                                                           \
        assert_int_equal(ph_record_check(&ph_record_pool_spec, &spec, &error), -EINVAL);           \
        assert_string_equal(error.field, path);                                                    \
        assert_non_null(strstr(error.message, says));                                              \
        assert_int_equal(ph_record_check(&ph_record_pool_spec, &spec, NULL), -EINVAL);             \
        ph_record_fini(&ph_record_pool_spec, &spec);                                               \
        spec = good_spec();                                                                        \
    } while (0)
    (void)state;
    assert_int_equal(ph_record_check(&ph_record_pool_spec, &spec, &error), 0);
    spec.name[0] = '\0';
    EXPECT("name", "empty");
    memset(spec.name, 'a', sizeof spec.name); /* no terminator */
    EXPECT("name", "63 bytes");
    spec.copies = 8;
    EXPECT("copies", "0 to 7");
    spec.failback = (enum ph_failback)17;
    EXPECT("failback", "17");
    ph_set_text(&spec.failback_at, "toolong");
    EXPECT("failback_at", "0 to 5");
    ph_set_text(&spec.failback_at, "\xff");
    EXPECT("failback_at", "UTF-8");
    strcpy(spec.vms.items[0].kind, "Process!");
    EXPECT("vms[0].kind", "\"Process!\"");
    spec.allow.items[0][0] = '\xff';
    EXPECT("allow[0]", "UTF-8");
    for (int i = 0; i < PH_ARGUMENTS_MAX; i++)
        ph_texts_add(&spec.vms.items[0].command, "x");
    EXPECT("vms[0].command", "257 items");
    ph_record_fini(&ph_record_pool_spec, &spec);
    assert_null(spec.vms.items);
    assert_int_equal(spec.name[0], '\0');
}

static void json_fields_are_checked(void **state)
{
    struct ph_assignment assignment = {.pool = "web"};
    struct ph_error error;

    (void)state;
    assert_int_equal(ph_record_check(&ph_record_assignment, &assignment, &error), 0);
    ph_set_text(&assignment.order, "{\"a\":[1,2]}");
    assert_int_equal(ph_record_check(&ph_record_assignment, &assignment, &error), 0);
    ph_set_text(&assignment.order, "7");
    assert_int_equal(ph_record_check(&ph_record_assignment, &assignment, &error), 0);
    ph_set_text(&assignment.order, "{\"a\":[1,2]");
    assert_int_equal(ph_record_check(&ph_record_assignment, &assignment, &error), -EINVAL);
    assert_string_equal(error.field, "order");
    ph_record_fini(&ph_record_assignment, &assignment);
}

static void secrets_are_not_shown(void **state)
{
    struct ph_identity identity = {.name = "n1", .role = PH_ROLE_AGENT};
    struct ph_join join = {.name = "n1"};
    struct ph_error error;
    char *text, long_secret[200];

    (void)state;
    ph_set_text(&identity.token_hash, "verysecret");
    assert_int_equal(ph_encode(&ph_record_identity, &identity, PH_ENCODE_SHOWN, &text, NULL), 0);
    assert_null(strstr(text, "verysecret"));
    assert_null(strstr(text, "token_hash"));
    assert_non_null(strstr(text, "\"token_expires_at\":0")); /* empty ones are shown */
    free(text);
    assert_int_equal(ph_encode(&ph_record_identity, &identity, PH_ENCODE_WIRE, &text, NULL), 0);
    assert_string_equal(text, "{\"name\":\"n1\",\"role\":\"agent\",\"token_hash\":\"verysecret\"}");
    free(text);
    ph_record_fini(&ph_record_identity, &identity);
    /* Nor in complaints. */
    memset(long_secret, 'S', sizeof long_secret - 1);
    long_secret[sizeof long_secret - 1] = '\0';
    ph_set_text(&join.secret, long_secret);
    assert_int_equal(ph_record_check(&ph_record_join, &join, &error), -EINVAL);
    assert_null(strstr(error.message, "SSS"));
    ph_record_fini(&ph_record_join, &join);
}

static void optional_records(void **state)
{
    struct ph_pool_view view = {.name = "web", .driver = "directory"};
    struct ph_error error;
    size_t bytes;
    char *text;

    (void)state;
    assert_int_equal(ph_encode(&ph_record_pool_view, &view, PH_ENCODE_SHOWN, &text, &bytes), 0);
    assert_non_null(strstr(text, "\"declared\":null"));
    assert_non_null(strstr(text, "\"copies\":[]"));
    assert_int_equal(ph_decode(&ph_record_pool_view, text, bytes, &view, &error), 0);
    free(text);
    strcpy(view.declared.name, "web");
    assert_int_equal(ph_record_check(&ph_record_pool_view, &view, &error), -EINVAL);
    assert_string_equal(error.field, "declared.driver");
    /* A failed decode leaves it empty. */
    ph_set_text(&view.reason, "something");
    assert_int_equal(ph_decode(&ph_record_pool_view, "{}", 2, &view, &error), -EINVAL);
    assert_string_equal(error.field, "name");
    assert_null(view.reason);
    assert_int_equal(view.name[0], '\0');
}

static void lists_of_other_lengths_differ(void **state)
{
    struct ph_pool_spec a = good_spec(), b = good_spec();

    (void)state;
    assert_true(ph_record_equal(&ph_record_pool_spec, &a, &b));
    assert_non_null(ph_many_add(&ph_record_vm_spec, (struct ph_many *)&a.vms));
    assert_false(ph_record_equal(&ph_record_pool_spec, &a, &b));
    assert_false(ph_record_equal(&ph_record_pool_spec, &b, &a));
    assert_non_null(ph_many_add(&ph_record_vm_spec, (struct ph_many *)&b.vms));
    assert_true(ph_record_equal(&ph_record_pool_spec, &a, &b));
    b.vms.items[1].restart = PH_RESTART_NEVER;
    assert_false(ph_record_equal(&ph_record_pool_spec, &a, &b));
    ph_record_fini(&ph_record_pool_spec, &a);
    ph_record_fini(&ph_record_pool_spec, &b);
}

static void texts_and_lists(void **state)
{
    struct ph_pool_spec_list list = {0, NULL};
    struct ph_many *many = (struct ph_many *)&list;
    char *text = NULL;

    (void)state;
    assert_int_equal(ph_set_text(&text, "a longer text"), 0);
    assert_int_equal(ph_set_text(&text, text + 2), 0); /* a part of itself */
    assert_string_equal(text, "longer text");
    assert_int_equal(ph_set_text(&text, ""), 0);
    assert_null(text);
    assert_int_equal(ph_many_reserve(&ph_record_pool_spec, many, 5), 0);
    assert_int_equal(list.count, 0);
    for (int i = 0; i < 21; i++) {
        struct ph_pool_spec *added = ph_many_add(&ph_record_pool_spec, many);
        assert_non_null(added);
        assert_int_equal(added->copies, 0);
        added->copies = i;
    }
    for (int i = 0; i < 21; i++)
        assert_int_equal(list.items[i].copies, i);
    free(list.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_sound),
        cmocka_unit_test(check_says_what_is_wrong),
        cmocka_unit_test(json_fields_are_checked),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(optional_records),
        cmocka_unit_test(lists_of_other_lengths_differ),

        cmocka_unit_test(texts_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
