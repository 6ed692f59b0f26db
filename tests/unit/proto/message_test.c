#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proto/message.h"

static void refused(void **state)
{
    static const struct {
        const char *text;
        int rv;
        int64_t id;
        const char *field, *says;
    } cases[] = {
        {"", -EINVAL, 0, "", "not JSON"},
        {"{", -EINVAL, 0, "", "not JSON"},
        {"null", -EINVAL, 0, "", "not JSON"},
        {"[]", -EINVAL, 0, "", "JSON object"},
        {"{}", -EINVAL, 0, "type", "type is missing"},
        {"{\"type\":\"drain\",\"type\":\"drain\"}", -EINVAL, 0, "", "duplicate"},
        {"{\"type\":7,\"id\":3}", -EINVAL, 3, "type", "not a string"},
        {"{\"type\":\"no.such\",\"id\":3,\"body\":{}}", -EINVAL, 3, "type", "\"no.such\""},
        {"{\"type\":\"a\\u001b[2J\",\"id\":3,\"body\":{}}", -EINVAL, 3, "type", "\"a\\x1b[2J\""},
        {"{\"type\":\"status\",\"id\":-1,\"body\":{}}", -EINVAL, 0, "id", "0 or more"},
        {"{\"type\":\"status\",\"id\":1.0,\"body\":{}}", -EINVAL, 0, "id", "integer"},
        {"{\"type\":\"status\",\"id\":99999999999999999999,\"body\":{}}", -EINVAL, 0, "",
            "too big"},
        {"{\"type\":\"status\",\"id\":4}", -EINVAL, 4, "body", "missing"},
        {"{\"type\":\"status\",\"id\":4,\"body\":[]}", -EINVAL, 4, "body", "not an object"},
        {"{\"type\":\"node.drain\",\"id\":4,\"body\":{}}", -EINVAL, 4, "body.node", "missing"},
        {"{\"type\":\"node.drain\",\"id\":4,\"body\":{\"node\":\"a b\"}}", -EINVAL, 4, "body.node",
            "\"a b\" is not a name"},
        {"{\"type\":\"node.drain\",\"id\":4,\"body\":{\"node\":\"\"}}", -EINVAL, 4, "body.node",
            "empty"},
        {"{\"type\":\"node.drain\",\"id\":4,\"body\":{\"node\":7}}", -EINVAL, 4, "body.node",
            "must be a string"},
        {"{\"type\":\"node.drain\",\"id\":4,\"body\":{\"node\":\"n\",\"max_parallel\":1001}}",
            -EINVAL, 4, "body.max_parallel", "0 to 1000"},
        {"{\"type\":\"node.drain\",\"id\":4,\"body\":{\"node\":\"n\",\"max_parallel\":1.5}}",
            -EINVAL, 4, "body.max_parallel", "integer"},
        {"{\"type\":\"node.drain\",\"id\":4,\"body\":{\"node\":\"n\",\"dry_run\":1}}", -EINVAL, 4,
            "body.dry_run", "true or false"},
        {"{\"type\":\"invite\",\"body\":{\"name\":\"n\",\"role\":\"king\"}}", -EINVAL, 0,
            "body.role", "none, agent, viewer, operator or admin"},
        {"{\"type\":\"pool.apply\",\"body\":{\"pools\":[{\"name\":\"a\",\"driver\":\"d\"},{"
         "\"name\":\"b\",\"driver\":\"d\",\"copies\":8}]}}",
            -EINVAL, 0, "body.pools[1].copies", "0 to 7"},
        {"{\"type\":\"pool.apply\",\"body\":{\"pools\":[{\"name\":\"a\",\"driver\":\"d\",\"allow\":"
         "[\"x\",1]}]}}",
            -EINVAL, 0, "body.pools[0].allow[1]", "not a string"},
        {"{\"type\":\"pool.apply\",\"body\":{\"pools\":[7]}}", -EINVAL, 0, "body.pools[0]",
            "not an object"},
        {"{\"type\":\"pool.apply\",\"body\":{\"pools\":{}}}", -EINVAL, 0, "body.pools",
            "array of objects"},
        {"{\"type\":\"status\",\"body\":{}} x", -EINVAL, 0, "", "not JSON"},
        {"{\"type\":\"status\",\"body\":{\"a\":\"\xff\"}}", -EINVAL, 0, "",
            "unable to decode byte 0xff"},
        {"{\"type\":\"join\",\"body\":{\"name\":\"n\",\"secret\":\"a\\u0000b\"}}", -EINVAL, 0, "",
            "not JSON"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_message message = {.body = &message};
        struct ph_error error = {.message = ""};
        int rv = ph_message_decode(cases[i].text, strlen(cases[i].text), &message, &error);
        if (rv != cases[i].rv || message.id != cases[i].id || message.body != NULL ||
            strcmp(error.field, cases[i].field) != 0 ||
            strstr(error.message, cases[i].says) == NULL)
            fail_msg("%s: %d, id %lld, [%s] %s", cases[i].text, rv, (long long)message.id,
                error.field, error.message);
        assert_int_equal(error.code, PH_BAD_INPUT);
        ph_message_fini(&message); /* harmless */
    }
}

static void accepted(void **state)
{
    static const char *const texts[] = {
        "{\"type\":\"status\",\"body\":{}}",
        " {\"body\":{\"unknown\":[{}]},\"extra\":1,\"id\":0,\"type\":\"status\"} \n",
        "{\"type\":\"node.drain\",\"body\":{\"node\":\"n\",\"max_parallel\":0}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ph_message message;
        struct ph_error error;
        assert_int_equal(ph_message_decode(texts[i], strlen(texts[i]), &message, &error), 0);
        assert_non_null(message.body);
        ph_message_fini(&message);
    }
}

/* A text of `bytes` with `before`, filling and `after`. */
static char *long_text(const char *before, char filling, const char *after, size_t bytes)
{
    char *text = malloc(bytes + 1);

    assert_non_null(text);
    memset(text, filling, bytes);
    memcpy(text, before, strlen(before));
    memcpy(text + bytes - strlen(after), after, strlen(after));
    text[bytes] = '\0';
    return text;
}

static void sizes(void **state)
{
    struct ph_message message;
    struct ph_error error;

    (void)state;
    char *text = long_text("{\"type\":\"status\",\"id\":5,\"body\":{\"x\":\"", 'x', "\"}}", 4096);
    assert_int_equal(ph_message_decode(text, 4096, &message, &error), 0);
    ph_message_fini(&message);
    free(text);
    text = long_text("{\"type\":\"status\",\"id\":5,\"body\":{\"x\":\"", 'x', "\"}}", 4097);
    assert_int_equal(ph_message_decode(text, 4097, &message, &error), -EMSGSIZE);
    assert_int_equal(message.id, 5);
    assert_string_equal(error.message, "a message of type status has 4097 bytes; it may have 4096");
    free(text);
    /* Long ones are refused by their first bytes, before they cost anything. */
    text = long_text("{\"type\":\"status\",\"id\":5,", '[', "", 1000000);
    assert_int_equal(ph_message_decode(text, 1000000, &message, &error), -EMSGSIZE);
    free(text);
    text = long_text("{\"id\":5,\"type\":\"pool.apply\",\"body\":{}", ' ', "}", 100000);
    assert_int_equal(ph_message_decode(text, 100000, &message, &error), -EINVAL);
    assert_non_null(strstr(error.message, "begin with its type"));
    free(text);
    text = long_text("{\"type\":\"pool.apply\",\"id\":5,\"body\":{}", ' ', "}", 100000);
    assert_int_equal(ph_message_decode(text, 100000, &message, &error), 0);
    ph_message_fini(&message);
    free(text);
    text = long_text("{\"type\":\"pool.apply\"", ' ', "}", (size_t)PH_MESSAGE_BYTES_MAX + 1);
    assert_int_equal(
        ph_message_decode(text, (size_t)PH_MESSAGE_BYTES_MAX + 1, &message, &error), -EMSGSIZE);
    free(text);
}

static void shapes(void **state)
{
    struct ph_message message;
    struct ph_error error;

    (void)state;
    /* Depth: the type's frame is within its size, its nesting is not. */
    char *text = long_text("{\"type\":\"status\",\"body\":{\"x\":", '[', "", 200);
    assert_int_equal(ph_message_decode(text, 200, &message, &error), -EINVAL);
    assert_non_null(strstr(error.message, "nested more than 32"));
    free(text);
    /* Brackets in strings do not count. */
    text = long_text("{\"type\":\"status\",\"body\":{\"x\":\"\\\"", '[', "\"}}", 200);
    assert_int_equal(ph_message_decode(text, 200, &message, &error), 0);
    ph_message_fini(&message);
    free(text);
    /* The number of values. */
    text = long_text("{\"type\":\"pool.apply\",\"body\":{\"x\":[1", ',', "]}}", 5000000);
    assert_int_equal(ph_message_decode(text, 5000000, &message, &error), -EINVAL);
    assert_non_null(strstr(error.message, "more than 4000000 values"));
    free(text);
}

static void encode_limits(void **state)
{
    struct ph_done done = {.job = 1};
    struct ph_beat beat = {.number = 1};
    char *text, *huge = malloc(70001);
    size_t bytes;

    (void)state;
    assert_non_null(huge);
    memset(huge, 'x', 70000);
    huge[70000] = '\0';
    done.message = huge;
    assert_int_equal(ph_message_encode(PH_MSG_DONE, 1, &done, &text, &bytes), -EMSGSIZE);
    strcpy(huge, "bad \xff text");
    assert_int_equal(ph_message_encode(PH_MSG_DONE, 1, &done, &text, &bytes), -EINVAL);
    free(huge);
    beat.instance = strdup("i");
    assert_int_equal(ph_message_encode(PH_MSG_BEAT, 7, &beat, &text, &bytes), 0);
    assert_string_equal(text, "{\"type\":\"beat\",\"id\":7,\"body\":{\"number\":1,\"boot_ms\":0,"
                              "\"generation\":0,\"term\":0,\"instance\":\"i\"}}");
    free(text);
    ph_record_fini(&ph_record_beat, &beat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(accepted),
        cmocka_unit_test(sizes), cmocka_unit_test(shapes), cmocka_unit_test(encode_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
