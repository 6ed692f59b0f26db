/* Logs: cut to the newer half, at a line, and never over their limit. */
#include "tests/unit/guard/fixture.h"
#include "agent/work/log.h"

static char directory[64], path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/poolherd-log-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/vm.log", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return ph_tree_remove(directory);
}

static void fill(size_t lines)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < lines; i++)
        fprintf(file, "line %09zu\n", i); /* 15 bytes */
    fclose(file);
}

static size_t content(char **text)
{
    size_t size;
    assert_int_equal(ph_file_read(path, 1 << 24, text, &size), 0);
    return size;
}

static void trims_to_the_newer_half(void **state)
{
    static const size_t lines[] = {1000, 1001, 20000, 100000};
    char *text;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        fill(lines[i]);
        ph_work_log_trim(path, 10000);
        size_t size = content(&text);
        assert_true(size <= 5000 && size > 5000 - 15);
        assert_int_equal(size % 15, 0); /* whole lines */
        assert_int_equal(strncmp(text, "line ", 5), 0);
        char last[32];
        snprintf(last, sizeof last, "line %09zu\n", lines[i] - 1);
        assert_string_equal(text + size - 15, last);
        free(text);
    }
}

static void leaves_small_and_odd_files_alone(void **state)
{
    char *text, other[128];
    (void)state;
    fill(600);
    ph_work_log_trim(path, 9000); /* exactly full */
    assert_int_equal(content(&text), 9000);
    free(text);
    ph_work_log_trim("/nonexistent/log", 10);
    ph_work_log_trim(directory, 10);
    snprintf(other, sizeof other, "%s/link", directory);
    assert_int_equal(symlink(path, other), 0);
    ph_work_log_trim(other, 100); /* a link is followed nowhere */
    assert_int_equal(content(&text), 9000);
    free(text);
    /* One endless line. */
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 30000; i++)
        fputc('x', file);
    fclose(file);
    ph_work_log_trim(path, 10000);
    assert_int_equal(content(&text), 5000);
    free(text);
}

static void pumps_within_the_limit(void **state)
{
    static const size_t limits[] = {4096, 10000, 65536, 300000};
    char *text;
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        int fds[2];
        struct stat status;
        fill(100000 / (i + 1)); /* one that is too large already, and some that are not */
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(fds[0]);
            for (int j = 0; j < 100000; j++)
                dprintf(fds[1], "word %09d\n", j);
            _exit(0);
        }
        close(fds[1]);
        assert_int_equal(ph_work_log_pump(fds[0], path, limits[i]), 0);
        close(fds[0]);
        waitpid(pid, NULL, 0);
        assert_int_equal(stat(path, &status), 0);
        assert_true(status.st_size <= (off_t)limits[i]);
        size_t size = content(&text);
        assert_string_equal(text + size - 15, "word 000099999\n");
        free(text);
    }
    assert_int_equal(ph_work_log_pump(0, "/nonexistent/log", 10000), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trims_to_the_newer_half, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_small_and_odd_files_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(pumps_within_the_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
