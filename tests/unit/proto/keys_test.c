#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>
#include "base/file.h"
#include "proto/keys.h"

static char directory[256], path[300];

static int setup(void **state)
{
    const char *root = getenv("TMPDIR");

    (void)state;
    snprintf(directory, sizeof directory, "%s/poolherd-keys-XXXXXX", root != NULL ? root : "/tmp");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/n1.identity", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return ph_tree_remove(directory);
}

static void identity_there_and_back(void **state)
{
    struct ph_identity_file made, loaded, other;
    struct ph_error error;
    struct stat status;

    (void)state;
    assert_int_equal(ph_identity_make("Bad Name", &made), -EINVAL);
    assert_int_equal(ph_identity_make("n1", &made), 0);
    assert_int_equal(ph_identity_make("n1", &other), 0);
    assert_string_not_equal(made.secret_key, other.secret_key);
    assert_int_equal(ph_identity_save(path, &made), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(ph_identity_load(path, &loaded, &error), 0);
    assert_memory_equal(&loaded, &made, sizeof made); /* unused bytes are zero in both */
    strcpy(made.manager_endpoint, "tcp://127.0.0.1:7000");
    strcpy(made.manager_key, other.public_key);
    assert_int_equal(ph_identity_save(path, &made), 0);
    assert_int_equal(ph_identity_load(path, &loaded, &error), 0);
    assert_string_equal(loaded.manager_endpoint, "tcp://127.0.0.1:7000");
    assert_string_equal(loaded.manager_key, other.public_key);
    made.manager_key[0] = '\0'; /* half a manager */
    assert_int_equal(ph_identity_save(path, &made), -EINVAL);
    assert_int_equal(ph_identity_load(path, &loaded, &error), 0); /* the old file stands */
}

static void identity_refused(void **state)
{
#define KEY "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define SECRET "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
    static const struct {
        const char *text;
        enum ph_code code;
        const char *field, *says;
    } cases[] = {
        {"{\"name\":\"n1\",\"public_key\":\"" KEY "\",\"secret_key\":\"" SECRET "\"}", PH_OK, "",
            ""},
        {"", PH_BAD_INPUT, "", "not JSON"},
        {"{}", PH_BAD_INPUT, "name", "missing"},
        {"{\"name\":\"n1\",\"public_key\":\"" KEY "\"}", PH_BAD_INPUT, "secret_key", "missing"},
        {"{\"name\":\"n 1\",\"public_key\":\"" KEY "\",\"secret_key\":\"" SECRET "\"}",
            PH_BAD_INPUT, "name", "not a name"},
        {"{\"name\":\"n1\",\"public_key\":\"" KEY "\",\"secret_key\":\"short\"}", PH_BAD_INPUT,
            "secret_key", "5 bytes"},
        {"{\"name\":\"n1\",\"public_key\":\"" SECRET "\",\"secret_key\":\"" SECRET "\"}",
            PH_BAD_INPUT, "public_key", "belong together"},
        {"{\"name\":\"n1\",\"public_key\":\"" KEY
         "\",\"secret_key\":\"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\"}",
            PH_BAD_INPUT, "secret_key", "Z85"},
        {"{\"name\":\"n1\",\"public_key\":\"" KEY "\",\"secret_key\":\"" SECRET
         "\",\"manager\":{\"endpoint\":\"x\"}}",
            PH_BAD_INPUT, "manager.public_key", "missing"},
    };
    struct ph_identity_file loaded;
    struct ph_error error;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        error = (struct ph_error){.code = PH_OK};
        assert_int_equal(ph_file_replace(path, cases[i].text, strlen(cases[i].text), 0600), 0);
        assert_int_equal(ph_identity_load(path, &loaded, &error) == 0, cases[i].code == PH_OK);
        assert_int_equal(error.code, cases[i].code);
        assert_string_equal(error.field, cases[i].field);
        assert_non_null(strstr(error.message, cases[i].says));
        assert_null(strstr(error.message, "D:)Q[")); /* never the secret */
    }
    chmod(path, 0640);
    assert_int_equal(ph_identity_load(path, &loaded, &error), -EPERM);
    assert_int_equal(error.code, PH_NOT_ALLOWED);
    assert_non_null(strstr(error.message, "0640"));
    unlink(path);
    assert_int_equal(ph_identity_load(path, &loaded, &error), -ENOENT);
    assert_int_equal(error.code, PH_NOT_FOUND);
    mkdir(path, 0700);
    assert_int_equal(ph_identity_load(path, &loaded, &error), -EINVAL);
}

static void invitation_there_and_back(void **state)
{
    struct ph_invitation made = {
        .endpoint = "tcp://192.0.2.1:7000", .name = "n1", .expires_at = 1769860800123};
    struct ph_invitation back;
    struct ph_error error;
    char token[PH_TOKEN_BYTES_MAX + 1], copy[PH_TOKEN_BYTES_MAX + 1];

    (void)state;
    strcpy(made.manager_key, KEY);
    ph_secret_make(made.secret);
    assert_int_equal(ph_invitation_print(&made, token, 20), -EMSGSIZE);
    assert_int_equal(ph_invitation_print(&made, token, sizeof token), 0);
    assert_int_equal(strncmp(token, "ph1.", 4), 0);
    assert_int_equal(
        strspn(token + 4, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
        strlen(token) - 4);
    assert_int_equal(ph_invitation_read(token, &back, &error), 0);
    assert_memory_equal(&made, &back, sizeof made);

    /* Cut anywhere, or with any character replaced by one that cannot be there. */
    for (size_t cut = 0; cut < strlen(token); cut++) {
        memcpy(copy, token, cut);
        copy[cut] = '\0';
        assert_int_equal(ph_invitation_read(copy, &back, &error), -EINVAL);
        assert_string_equal(error.field, "token");
        strcpy(copy, token);
        copy[cut] = '+';
        assert_int_equal(ph_invitation_read(copy, &back, &error), -EINVAL);
        assert_null(strstr(error.message, made.secret));
    }
    strcpy(copy, token);
    strcat(copy, "=");
    assert_int_equal(ph_invitation_read(copy, &back, &error), -EINVAL);

    char *huge = malloc(100001);
    memset(huge, 'A', 100000);
    memcpy(huge, "ph1.", 4);
    huge[100000] = '\0';
    assert_int_equal(ph_invitation_read(huge, &back, &error), -EINVAL);
    free(huge);
    memset(made.endpoint, 'e', sizeof made.endpoint - 1); /* too long for a token */
    memset(made.secret, 's', sizeof made.secret - 1);
    made.endpoint[sizeof made.endpoint - 1] = made.secret[sizeof made.secret - 1] = '\0';
    assert_int_equal(ph_invitation_print(&made, token, sizeof token), -EMSGSIZE);
    made.name[0] = '\0';
    assert_int_equal(ph_invitation_print(&made, token, sizeof token), -EINVAL);
}

static void secrets(void **state)
{
    char a[44], b[44], hash[65], id[17];

    (void)state;
    ph_secret_make(a);
    ph_secret_make(b);
    assert_int_equal(strlen(a), 43);
    assert_string_not_equal(a, b);
    ph_secret_hash("abc", hash); /* FIPS 180-2, appendix B.1 */
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ph_id_make(id);
    assert_int_equal(strlen(id), 16);
    assert_int_equal(strspn(id, "0123456789abcdef"), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity_there_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(identity_refused, setup, teardown),
        cmocka_unit_test(invitation_there_and_back),
        cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
