#include "agent/guard/lease_page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Shared between processes, so a lock inside the C library would not do. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the lease page needs lock-free 64-bit atomics");

/* A deadline that was over long ago: begin() holds it while it changes the generation. */
#define LEASE_BEGINNING_MS 1u
#define LEASE_PAGE_BYTES 4096

int ph_lease_page_open(const char *path, struct ph_lease_page **page_out)
{
    int rv;
    void *memory;
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) != 0) {
        rv = -errno;
        goto cleanup;
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid()) {
        rv = -EPERM;
        goto cleanup;
    }
    /* Reserved now: a full disk is an error here and not a SIGBUS in the middle of a lease. */
    rv = -posix_fallocate(fd, 0, LEASE_PAGE_BYTES);
    if (rv != 0)
        goto cleanup;
    memory = mmap(NULL, LEASE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        rv = -errno;
    else
        *page_out = memory;
cleanup:
    close(fd);
    return rv;
}

void ph_lease_page_close(struct ph_lease_page **page)
{
    if (*page != NULL)
        munmap(*page, LEASE_PAGE_BYTES);
    *page = NULL;
}

int ph_lease_page_replace(struct ph_lease_page *page, const char *path)
{
    int rv = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (mmap(page, LEASE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
        MAP_FAILED)
        rv = -errno;
    close(fd);
    return rv;
}

int ph_lease_begin(struct ph_lease_page *page, int64_t generation, uint64_t deadline_ms)
{
    int64_t old = atomic_load(&page->generation);
    uint64_t none = 0, beginning = LEASE_BEGINNING_MS;
    if (generation <= old || deadline_ms <= LEASE_BEGINNING_MS)
        return -EINVAL;
    if (atomic_load(&page->clean) < old)
        return -EBUSY;
    /* Three steps, so that a guard which looks in between (one that just started) sees a lease that is
     * over, ends it, and makes the last step fail. With the deadline set first, a late child of the old
     * generation would pass its check; with the generation set first, a guard could mark the new
     * generation clean just before it begins. */
    if (!atomic_compare_exchange_strong(&page->deadline_ms, &none, beginning))
        return -EBUSY;
    atomic_store(&page->generation, generation);
    if (!atomic_compare_exchange_strong(&page->deadline_ms, &beginning, deadline_ms))
        return -EBUSY;
    return 0;
}

int ph_lease_extend(
    struct ph_lease_page *page, int64_t generation, uint64_t deadline_ms, uint64_t now_ms)
{
    uint64_t seen = atomic_load(&page->deadline_ms);
    for (;;) {
        if (seen <= now_ms || seen <= LEASE_BEGINNING_MS ||
            atomic_load(&page->generation) != generation)
            return -ESTALE;
        if (deadline_ms <= seen)
            return 0;
        if (atomic_compare_exchange_weak(&page->deadline_ms, &seen, deadline_ms))
            return 0;
    }
}

bool ph_lease_valid(const struct ph_lease_page *page, int64_t generation, uint64_t now_ms)
{
    for (;;) {
        uint64_t deadline_ms = atomic_load(&page->deadline_ms);
        int64_t owner = atomic_load(&page->generation);
        if (deadline_ms <= now_ms || deadline_ms <= LEASE_BEGINNING_MS || owner != generation)
            return false;
        /* Both from one lease: generations only grow, deadlines of one lease too. */
        if (atomic_load(&page->deadline_ms) == deadline_ms)
            return true;
    }
}

bool ph_lease_end_if_over(struct ph_lease_page *page, uint64_t now_ms, int64_t *generation_out)
{
    /* Read first: once this lease has ended and is clean, the next may begin at any time. */
    int64_t generation = atomic_load(&page->generation);
    uint64_t seen = atomic_load(&page->deadline_ms);
    while (seen <= now_ms) {
        if (seen == 0 || atomic_compare_exchange_weak(&page->deadline_ms, &seen, 0)) {
            *generation_out = generation;
            return true;
        }
    }
    return false;
}

int64_t ph_lease_end(struct ph_lease_page *page)
{
    int64_t generation = atomic_load(&page->generation);
    atomic_store(&page->deadline_ms, 0);
    return generation;
}

void ph_lease_mark_clean(struct ph_lease_page *page, int64_t generation)
{
    int64_t seen = atomic_load(&page->clean);
    while (seen < generation && !atomic_compare_exchange_weak(&page->clean, &seen, generation))
        ;
}
