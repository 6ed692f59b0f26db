/* Placeholders, environment, and what a declaration may not say. */
#include "tests/unit/guard/fixture.h"
#include "agent/work/command.h"

static struct ph_pool pool = {.name = "web"};

static struct ph_work_context context_of(const struct ph_vm *vm)
{
    return (struct ph_work_context){.node = "n1",
        .pool = &pool,
        .vm = vm,
        .epoch = 7,
        .pool_path = "/srv/my pool",
        .marker = "m1"};
}

static void vm_fini(struct ph_vm *vm)
{
    ph_texts_fini(&vm->command);
    ph_texts_fini(&vm->environment);
}

static void fills_in_placeholders(void **state)
{
    static const struct {
        const char *word, *filled;
    } cases[] = {
        {"{pool_path}", "/srv/my pool"},
        {"{pool_path}/www", "/srv/my pool/www"},
        {"--name={pool}.{vm}@{node}:{epoch}", "--name=web.vm1@n1:7"},
        {"{pool}{pool}", "webweb"},
        {"", ""},
        {"plain", "plain"},
        {"{", "{"},
        {"}", "}"},
        {"{}", "{}"},
        {"{{pool}}", "{web}"},
        {"{\"pool\": 1}", "{\"pool\": 1}"},
        {"{Pool}", "{Pool}"},
        {"{pool", "{pool"},
        {"{pool }", "{pool }"},
        {"\xc3\xa4{vm}\xff", "\xc3\xa4vm1\xff"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_vm vm = {.name = "vm1"};
        struct ph_command command;
        struct ph_error error;
        ph_texts_add(&vm.command, "/bin/true");
        ph_texts_add(&vm.command, cases[i].word);
        struct ph_work_context context = context_of(&vm);
        assert_int_equal(ph_command_check(&vm, &error), 0);
        assert_int_equal(ph_command_make(&context, &command), 0);
        assert_string_equal(command.argv[0], "/bin/true");
        assert_string_equal(command.argv[1], cases[i].filled);
        assert_null(command.argv[2]);
        ph_command_fini(&command);
        vm_fini(&vm);
    }
}

static const char *value_of(const struct ph_command *command, const char *name)
{
    const char *found = NULL;
    for (char **at = command->environment; *at != NULL; at++)
        if (strncmp(*at, name, strlen(name)) == 0 && (*at)[strlen(name)] == '=') {
            assert_null(found); /* once only */
            found = *at + strlen(name) + 1;
        }
    return found;
}

static void composes_the_environment(void **state)
{
    struct ph_vm vm = {.name = "vm1"};
    struct ph_command command;
    (void)state;
    setenv("SECRET_OF_THE_AGENT", "x", 1);
    setenv("LANG", "C.UTF-8", 1);
    unsetenv("TZ");
    ph_texts_add(&vm.command, "tool");
    ph_texts_add(&vm.environment, "PATH=/a::/b/");
    ph_texts_add(&vm.environment, "EMPTY=");
    ph_texts_add(&vm.environment, "TWICE=1");
    ph_texts_add(&vm.environment, "TWICE={pool}=2");
    struct ph_work_context context = context_of(&vm);
    assert_int_equal(ph_command_make(&context, &command), 0);
    assert_string_equal(value_of(&command, "POOLHERD_POOL"), "web");
    assert_string_equal(value_of(&command, "POOLHERD_POOL_PATH"), "/srv/my pool");
    assert_string_equal(value_of(&command, "POOLHERD_NODE"), "n1");
    assert_string_equal(value_of(&command, "POOLHERD_EPOCH"), "7");
    assert_string_equal(value_of(&command, "POOLHERD_VM"), "vm1");
    assert_string_equal(value_of(&command, "POOLHERD_MARK"), "m1");
    assert_string_equal(value_of(&command, "HOME"), "/srv/my pool");
    assert_string_equal(value_of(&command, "LANG"), "C.UTF-8");
    assert_string_equal(value_of(&command, "PATH"), "/a::/b/");
    assert_string_equal(value_of(&command, "EMPTY"), "");
    assert_string_equal(value_of(&command, "TWICE"), "{pool}=2");
    assert_null(value_of(&command, "TZ"));
    assert_null(value_of(&command, "SECRET_OF_THE_AGENT"));
    /* The program is looked for along the PATH the workload sees, never in the pool's data. */
    assert_string_equal(command.programs[0], "/a/tool");
    assert_string_equal(command.programs[1], "/b//tool");
    assert_null(command.programs[2]);
    ph_command_fini(&command);
    vm_fini(&vm);
}

static void refuses_wrong_declarations(void **state)
{
    static const struct {
        const char *words[3], *environment, *stop_signal;
        long stop_timeout_ms;
        const char *field, *says;
    } cases[] = {
        {{NULL}, NULL, "", 0, "command", "needs a command"},
        {{""}, NULL, "", 0, "command", "needs a command"},
        {{"a", "{home}"}, NULL, "", 0, "command[1]", "{home} is no placeholder"},
        {{"{pool}{x}"}, NULL, "", 0, "command[0]", "{x} is no placeholder"},
        {{"a"}, "X", "", 0, "environment[0]", "not NAME=value"},
        {{"a"}, "=1", "", 0, "environment[0]", "not NAME=value"},
        {{"a"}, "1A=1", "", 0, "environment[0]", "not NAME=value"},
        {{"a"}, "A B=1", "", 0, "environment[0]", "not NAME=value"},
        {{"a"}, "POOLHERD_EPOCH=9", "", 0, "environment[0]", "set by Poolherd"},
        {{"a"}, NULL, "kill", 0, "stop_signal", "\"kill\" is not one of term"},
        {{"a"}, NULL, "TERM", 0, "stop_signal", "\"TERM\""},
        {{"a"}, NULL, "", -1, "stop_timeout_ms", "-1"},
        {{"a"}, NULL, "", 86400001, "stop_timeout_ms", "86400001"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_vm vm = {.name = "vm1", .stop_timeout_ms = cases[i].stop_timeout_ms};
        struct ph_error error = {PH_OK, "", ""};
        for (size_t j = 0; j < 3 && cases[i].words[j] != NULL; j++)
            ph_texts_add(&vm.command, cases[i].words[j]);
        if (cases[i].environment != NULL)
            ph_texts_add(&vm.environment, cases[i].environment);
        ph_text_format(vm.stop_signal, sizeof vm.stop_signal, "%s", cases[i].stop_signal);
        assert_int_equal(ph_command_check(&vm, &error), -EINVAL);
        assert_int_equal(error.code, PH_BAD_INPUT);
        assert_string_equal(error.field, cases[i].field);
        if (strstr(error.message, cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, error.message, cases[i].says);
        vm_fini(&vm);
    }
}

static void bounds_words(void **state)
{
    struct ph_vm vm = {.name = "vm1"};
    struct ph_error error;
    struct ph_command command;
    char *word = malloc(5002);
    (void)state;
    memset(word, 'x', 5001);
    word[5001] = '\0';
    ph_texts_add(&vm.command, word);
    assert_int_equal(ph_command_check(&vm, &error), -EINVAL);
    assert_string_equal(error.field, "command[0]");
    vm_fini(&vm);
    /* 682 times a path of 300 bytes is more than the kernel takes. */
    char path[301];
    memset(path, 'p', 300);
    path[300] = '\0';
    word[0] = '\0';
    for (int i = 0; i < 450; i++)
        strcat(word, "{pool_path}");
    ph_texts_add(&vm.command, word);
    struct ph_work_context context = context_of(&vm);
    context.pool_path = path;
    assert_int_equal(ph_command_make(&context, &command), -E2BIG);
    vm_fini(&vm);
    for (int i = 0; i < 257; i++)
        ph_texts_add(&vm.command, "x");
    assert_int_equal(ph_command_check(&vm, &error), -EINVAL);
    assert_string_equal(error.field, "command");
    vm_fini(&vm);
    free(word);
}

static void knows_signals(void **state)
{
    (void)state;
    assert_int_equal(ph_command_signal(""), SIGTERM);
    assert_int_equal(ph_command_signal("term"), SIGTERM);
    assert_int_equal(ph_command_signal("int"), SIGINT);
    assert_int_equal(ph_command_signal("quit"), SIGQUIT);
    assert_int_equal(ph_command_signal("hup"), SIGHUP);
    assert_int_equal(ph_command_signal("usr1"), SIGUSR1);
    assert_int_equal(ph_command_signal("usr2"), SIGUSR2);
    assert_int_equal(ph_command_signal("kill"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_placeholders),
        cmocka_unit_test(composes_the_environment),
        cmocka_unit_test(refuses_wrong_declarations),
        cmocka_unit_test(bounds_words),
        cmocka_unit_test(knows_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
