/* Leases that a test begins by itself, and stand-ins for what a guard has to stop. */
#ifndef PH_TESTS_GUARD_LEASE_H
#define PH_TESTS_GUARD_LEASE_H

#include "tests/unit/guard/fixture.h"

static int64_t fixture_generation = 0;

static inline void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline void file_of(const struct fixture *fixture, const char *name, char out[PATH_MAX])
{
    assert_int_equal(ph_path_join(out, PATH_MAX, fixture->directory, name), 0);
}

/* Begins the next lease, for this long. */
static inline uint64_t lease_begin(struct fixture *fixture, uint64_t length_ms)
{
    uint64_t deadline_ms = ph_clock_boot_ms() + length_ms;
    assert_int_equal(ph_lease_begin(fixture->page, ++fixture_generation, deadline_ms), 0);
    return deadline_ms;
}

/* A cgroup that says what the test wants. */
static inline void fake_cgroup(
    const struct fixture *fixture, const char *name, char path[PATH_MAX], const char *populated)
{
    char file[PATH_MAX];
    file_of(fixture, name, path);
    mkdir(path, 0700);
    ph_path_join(file, sizeof file, path, "cgroup.events");
    write_file(file, populated);
}

#endif
