/*
 * The lease as the guard sees it: one page of shared memory (a file in DIR/run/state, which is on tmpfs
 * when there is one, so that no stalled disk can delay it) with atomics, so that extending a lease costs
 * a store and no message.
 *
 *     deadline_ms   CLOCK_BOOTTIME; 0 = ended (or never begun)
 *     generation    whose lease it is
 *     clean         highest generation of whose lease nothing is left running
 *
 * Rules, which make the race at the end harmless:
 *   - the agent extends by compare-and-swap from the value it saw, never from 0: an ended lease
 *     stays ended;
 *   - the guard ends it by compare-and-swap of the deadline it saw expire to 0, then kills;
 *   - a workload's child joins its cgroup (or registers its group) first and checks the page after:
 *     either it sees the end, or the guard's kill sees it;
 *   - a new generation begins only when clean >= the old generation.
 * Process-shared C11 atomics; no lock. Linux and BSD.
 */
#ifndef PH_AGENT_LEASE_PAGE_H
#define PH_AGENT_LEASE_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ph_lease_page {
    _Atomic uint64_t deadline_ms;
    _Atomic int64_t generation;
    _Atomic int64_t clean;
};

/* Maps (and makes, 0600) the page. 0 or -errno. */
int ph_lease_page_open(const char *path, struct ph_lease_page **page_out);
void ph_lease_page_close(struct ph_lease_page **page);
/* Maps the file over an open page at the same address: the pointers others hold stay good. */
int ph_lease_page_replace(struct ph_lease_page *page, const char *path);

/* Begins lease `generation` (> the page's, and the page clean): 0, -EBUSY when not clean or a lease
 * stands or a guard that started this instant ended it at once (the generation is then used up), -EINVAL. */
int ph_lease_begin(struct ph_lease_page *page, int64_t generation, uint64_t deadline_ms);
/* Extends; a deadline earlier than the present one changes nothing. 0, -ESTALE when it has ended,
 * is over at now_ms, or belongs to another generation. */
int ph_lease_extend(
    struct ph_lease_page *page, int64_t generation, uint64_t deadline_ms, uint64_t now_ms);
bool ph_lease_valid(const struct ph_lease_page *page, int64_t generation, uint64_t now_ms);
/* Guard: if the deadline is not after now_ms, ends the lease. True when it ended now (or was ended), with
 * the generation up to which surely no lease lives any more. It, and not what the page says later, may be
 * marked clean. (A lease that began and ended since it was read is found by the next look.) */
bool ph_lease_end_if_over(struct ph_lease_page *page, uint64_t now_ms, int64_t *generation_out);
int64_t ph_lease_end(struct ph_lease_page *page); /* guard: at once, over or not; as above */
void ph_lease_mark_clean(struct ph_lease_page *page, int64_t generation);

#endif
