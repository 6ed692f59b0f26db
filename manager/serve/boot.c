/*
 * From files to a core that may decide: the inventory, its first rows, the term, everything loaded.
 */
#include "manager/serve/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"

/* When nobody remembers how far agents have come, this many starts are skipped. */
#define TERM_ADVANCE 1000

static int meta_each(void *context, const void *row)
{
    const struct ph_meta *meta = row;
    struct serve_manager *manager = context;

    if (strcmp(meta->key, "cluster_id") == 0 && meta->value != NULL) {
        ph_text_format(manager->cluster, sizeof manager->cluster, "%s", meta->value);
    } else if (strcmp(meta->key, "seen_term") == 0 && meta->value != NULL) {
        manager->seen_term = strtoll(meta->value, NULL, 10);
    } else if (strcmp(meta->key, "term") == 0 && meta->value != NULL) {
        manager->term = strtoll(meta->value, NULL, 10);
    }
    return 0;
}

static int admin_each(void *context, const void *row)
{
    return ph_record_copy(&ph_record_identity, context, row);
}

/* Commits the open batch and waits: only at the start, while nobody else is served. */
static int commit_now(struct serve_manager *manager, struct ph_error *error)
{
    char message[PH_TEXT_BYTES_MAX + 1];
    enum ph_store_result result;

    if (manager->batch == NULL || ph_batch_empty(manager->batch)) {
        ph_batch_destroy(&manager->batch);
        return 0;
    }
    manager->submitted = ph_store_commit(manager->store, &manager->batch);
    ph_store_flush(manager->store);
    if (!serve_commits_look(&manager->commits, &manager->durable, &result, message)) {
        return ph_error_set(error, PH_FAILED, NULL, "cannot store in the inventory: %s", message);
    }
    return 0;
}

static int row_save(struct serve_manager *manager, const struct ph_record *record, const void *row,
    struct ph_error *error)
{
    if (manager->batch == NULL) {
        manager->batch = ph_batch_new();
    }
    if (manager->batch == NULL || ph_batch_save(manager->batch, record, row) != 0) {
        return ph_error_set(error, PH_FAILED, NULL, "out of memory");
    }
    return 0;
}

/* The key in admin.identity is the admin's: whoever can write that file owns the manager anyway. Only
 * a revocation stands above it. */
static int admin_ensure(struct serve_manager *manager, struct ph_error *error)
{
    static const char *const arguments[] = {SERVE_ADMIN, NULL};
    struct ph_identity admin = {0};
    int rv = ph_store_load_where(manager->store, &ph_record_identity, "WHERE name = ?1", arguments,
        admin_each, &admin, error);

    if (rv == 0 && admin.revoked) {
        ph_log(PH_LOG_WARNING, "admin_revoked", "text=%s", "admin.identity is refused");
    } else if (rv == 0 && (admin.name[0] == '\0' || admin.public_key == NULL ||
                              strcmp(admin.public_key, manager->house.admin.public_key) != 0)) {
        if (admin.created_at == 0) {
            admin.created_at = ph_clock_wall_ms();
        }
        ph_text_format(admin.name, sizeof admin.name, "%s", SERVE_ADMIN);
        admin.role = PH_ROLE_ADMIN;
        rv = ph_set_text(&admin.public_key, manager->house.admin.public_key);
        if (rv == 0) {
            rv = row_save(manager, &ph_record_identity, &admin, error);
        }
        ph_log(PH_LOG_NOTICE, "admin_enrolled", "name=%s", SERVE_ADMIN);
    }
    ph_record_fini(&ph_record_identity, &admin);
    return rv;
}

static int first_rows(struct serve_manager *manager, struct ph_error *error)
{
    struct ph_meta meta = {.key = "cluster_id"};
    int rv = 0;

    if (manager->cluster[0] == '\0') {
        ph_id_make(manager->cluster);
        meta.value = manager->cluster;
        rv = row_save(manager, &ph_record_meta, &meta, error);
    }
    if (rv == 0) {
        rv = admin_ensure(manager, error);
    }
    return rv == 0 ? commit_now(manager, error) : rv;
}

/* Takes the role. --advance-term: with a term above every one an agent may have seen. */
static int term_take(struct serve_manager *manager, struct ph_error *error)
{
    int64_t above = manager->term + TERM_ADVANCE; /* the stored one, until now */
    struct ph_meta unknown = {.key = PH_META_VOTERS_UNKNOWN, .value = (char[]){"1"}};
    int rv;

    if (!manager->options.advance_term) {
        return ph_store_activate(manager->store, manager->id, &manager->term, error);
    }
    above = manager->seen_term > above ? manager->seen_term : above;
    rv = row_save(manager, &ph_record_meta, &unknown, error);
    if (rv == 0) {
        rv = commit_now(manager, error);
    }
    if (rv != 0) {
        return rv;
    }
    rv = ph_store_activate_above(manager->store, manager->id, above, &manager->term, error);
    if (rv == 0) {
        ph_log(PH_LOG_NOTICE, "term_advanced", "term=%lld", (long long)manager->term);
    }
    return rv;
}

struct loading {
    struct ph_core *core;
    const struct ph_record *record;
    struct ph_error *error;
    size_t count;
};

static int load_each(void *context, const void *row)
{
    struct loading *loading = context;

    loading->count++;
    return ph_core_load(loading->core, loading->record, row, loading->error);
}

static int last_event_each(void *context, const void *row)
{
    *(int64_t *)context = ((const struct ph_event *)row)->id;
    return 0;
}

static int last_job_each(void *context, const void *row)
{
    *(int64_t *)context = ((const struct ph_job *)row)->id;
    return 0;
}

static int core_fill(struct serve_manager *manager, struct ph_error *error)
{
    static const struct {
        const struct ph_record *record;
        const char *tail;
    } steps[] = {
        {&ph_record_meta, ""},
        {&ph_record_node, ""},
        {&ph_record_voter_set, ""},
        {&ph_record_pool, ""},
        {&ph_record_vm, ""},
        {&ph_record_replica, ""},
        {&ph_record_identity, ""},
        {&ph_record_fence_device, ""},
        /* unfinished ones, and the last that ended: for job.list, and for what is asked for again */
        {&ph_record_job, "WHERE state IN ('queued', 'running') OR "
                         "id > (SELECT max(id) FROM jobs) - 1000 ORDER BY id"},
    };
    size_t i, total = 0;
    int rv = 0;

    for (i = 0; rv == 0 && i < sizeof steps / sizeof steps[0]; i++) {
        struct loading loading = {manager->core, steps[i].record, error, 0};

        rv = steps[i].tail[0] == '\0'
                 ? ph_store_load(manager->store, steps[i].record, load_each, &loading, error)
                 : ph_store_load_where(manager->store, steps[i].record, steps[i].tail, NULL,
                       load_each, &loading, error);
        total += loading.count;
        if (rv != 0 && error->code == PH_OK) {
            ph_error_set(error, PH_FAILED, NULL, "cannot load the inventory's %s rows: %s",
                steps[i].record->name, strerror(-rv));
        }
    }
    if (rv == 0) {
        ph_log(PH_LOG_INFO, "loaded", "rows=%zu", total);
    }
    return rv;
}

static int core_start(struct serve_manager *manager, struct ph_error *error)
{
    int64_t last_event = 0, last_job = 0;
    int rv = ph_core_new(
        &manager->settings.core, manager->term, manager->id, manager->cluster, &manager->core);

    if (rv != 0) {
        return ph_error_set(error, PH_FAILED, NULL, "cannot make the core: %s", strerror(-rv));
    }
    rv = core_fill(manager, error);
    if (rv == 0) {
        rv = ph_store_load_where(manager->store, &ph_record_event, "ORDER BY id DESC LIMIT 1", NULL,
            last_event_each, &last_event, error);
    }
    if (rv == 0) {
        rv = ph_store_load_where(manager->store, &ph_record_job, "ORDER BY id DESC LIMIT 1", NULL,
            last_job_each, &last_job, error);
    }
    if (rv == 0) {
        rv = ph_core_ready(manager->core, serve_now_ms(manager), ph_clock_wall_ms(), last_event,
            last_job, &manager->effects);
        if (rv != 0) {
            ph_error_set(error, PH_FAILED, NULL, "cannot start the core: %s", strerror(-rv));
        }
    }
    return rv;
}

int serve_boot(struct serve_manager *manager, struct ph_error *error)
{
    int rv;

    ph_id_make(manager->id); /* new at each start, so that a copied directory is another manager */
    rv = ph_store_open(manager->house.database, PH_SCHEMA_MANAGER, serve_commits_done,
        &manager->commits, &manager->store, error);
    if (rv == 0) {
        rv = ph_store_load(manager->store, &ph_record_meta, meta_each, manager, error);
    }
    if (rv == 0) {
        rv = term_take(manager, error);
    }
    if (rv == 0) {
        rv = first_rows(manager, error);
    }
    return rv == 0 ? core_start(manager, error) : rv;
}
