/*
 * Doctor: pools and their data. See doctor.c.
 */
#include "manager/core/doctor.h"

#include <string.h>

#define STALE_INTERVALS 5 /* a copy this many intervals old is not keeping up */
#define STALE_MS 10000    /* and at least this old */

struct pool_names {
    struct core_names down, uncopied, missing, stale, unlimited;
};

static void look_at(
    const struct ph_core *core, const struct core_pool *pool, struct pool_names *names)
{
    const struct ph_pool *row = &pool->row;
    int64_t complete = 0, freshest = -1;

    if (row->desired != PH_DESIRED_ACTIVE)
        return;
    if (row->state != PH_POOL_ACTIVE)
        core_names_add(&names->down, row->name);
    if (row->copies == 0) {
        core_names_add(&names->uncopied, row->name);
        return;
    }
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;
        int64_t age = core_view_age_ms(core, peer);

        if (!core_copy_usable(peer) || strcmp(peer->node->row.name, row->node) == 0)
            continue;
        complete++;
        if (age >= 0 && (freshest < 0 || age < freshest))
            freshest = age;
    }
    if (complete < row->copies)
        core_names_add(&names->missing, row->name);
    int64_t limit = row->sync_interval_s * 1000 * STALE_INTERVALS;

    if (complete > 0 && row->sync_interval_s > 0 &&
        freshest > (limit > STALE_MS ? limit : STALE_MS))
        core_names_add(&names->stale, row->name);
    if (row->max_data_loss_s == 0)
        core_names_add(&names->unlimited, row->name);
}

void core_find_pools(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    struct pool_names names = {0};

    for (size_t i = 0; i < core->pools.count; i++)
        look_at(core, core->pools.items[i].value, &names);
    if (names.down.count == 0)
        core_holds(doctor, "pools-active", "every pool declared active is active");
    else
        core_broken(doctor, "pools-active",
            "poolherd pool list says why; poolherd pool explain NAME says more",
            "declared active and not active: %s", core_names_said(&names.down));
    if (names.uncopied.count == 0)
        core_holds(doctor, "copies-declared", "every active pool declares copies");
    else
        core_broken(doctor, "copies-declared", "declare copies: 1 or more, and sync_interval_s",
            "declare no copies, so that they wait for their node, or are lost with it: %s",
            core_names_said(&names.uncopied));
    if (names.missing.count == 0)
        core_holds(doctor, "copies-complete", "every declared copy is complete");
    else
        core_broken(doctor, "copies-complete",
            "wait for the first copies, or look at their reasons: poolherd pool show NAME",
            "have fewer complete copies than declared: %s", core_names_said(&names.missing));
    if (names.stale.count == 0)
        core_holds(doctor, "copies-fresh", "copies keep up with their sync_interval_s");
    else
        core_broken(doctor, "copies-fresh",
            "poolherd pool show NAME has each copy's error; a longer sync_interval_s may be needed",
            "the freshest copy is far older than sync_interval_s asks for: %s",
            core_names_said(&names.stale));
    if (names.unlimited.count == 0)
        core_holds(doctor, "data-loss-limit",
            "every pool with copies says how much data a take-over may lose");
    else
        core_broken(doctor, "data-loss-limit",
            "declare max_data_loss_s: a take-over from an older copy then waits for an operator",
            "max_data_loss_s is 0, so that a take-over uses a copy of any age: %s",
            core_names_said(&names.unlimited));
}
