/*
 * Inside manager/core: what the files that answer requests share. Pure. (internal.h has the rest.)
 *
 *     request.c            message type -> handler
 *     apply.c              pool.apply: check all, compare all, then change
 *       apply_check.c        is the file sound in itself and against the inventory
 *       apply_driver.c       ... and does it suit its driver
 *       apply_diff.c         what would change, as before and after
 *     view_*.c             records of the inventory as people see them
 *     explain.c doctor.c identity.c
 */
#ifndef PH_MANAGER_REQUEST_H
#define PH_MANAGER_REQUEST_H

#include "manager/core/internal.h"

/* ---- texts: "" for an absent one; the list helpers set core->no_memory ---- */
const char *core_text(const char *text);
void core_copy_text(struct ph_core *core, char **member, const char *text);
void core_copy_texts(struct ph_core *core, struct ph_texts *to, const struct ph_texts *from);
/* "a, b, c and 4 more" from names given one by one. */
struct core_names {
    size_t count, said, length;
    char text[400];
};
void core_names_add(struct core_names *names, const char *name);
const char *core_names_said(struct core_names *names); /* call once, when all are added */

/* ---- views ---- */
/* A zeroed view is filled. The caller owns it. */
/* "node/device from where: on 12 s ago", of each of its fence devices (fence_view.c) */
void core_view_fencing(struct ph_core *core, const struct core_node *node, char **out);
void core_view_node(struct ph_core *core, const struct core_node *node, struct ph_node_view *view);
void core_view_pool(
    struct ph_core *core, const struct core_pool *pool, bool whole, struct ph_pool_view *view);
void core_view_vm(struct ph_core *core, const struct ph_vm *row, struct ph_vm_view *view);
void core_view_job(struct ph_core *core, const struct core_job *job, struct ph_job *view);
void core_view_nodes(struct ph_core *core, struct ph_node_view_list *list);
void core_view_pools(struct ph_core *core, struct ph_pool_view_list *list);
/* The age of a copy's data, or -1 when there is no complete one. */
int64_t core_view_age_ms(const struct ph_core *core, const struct core_peer *peer);

/* ---- declarations ---- */
/* The pool as it was declared; spec is zeroed. */
void core_pool_spec(struct ph_core *core, const struct core_pool *pool, struct ph_pool_spec *spec);

/* Settings of pool drivers: the row keeps as JSON text what the spec has as records. */
void core_settings_store(
    struct ph_core *core, struct ph_pool *row, const struct ph_pool_spec *spec);
void core_settings_read(struct ph_core *core, const struct ph_pool *row, struct ph_pool_spec *spec);

struct core_applying {
    struct ph_core *core;
    const struct ph_apply *asked;
    struct ph_map named; /* pool name -> const struct ph_pool_spec * of the file */
    struct ph_applied answer;
    size_t text_bytes; /* of before and after so far */
    struct ph_error error;
};
/* Where in the file a check is. */
struct core_apply_place {
    struct core_applying *applying;
    size_t pool;
    const struct ph_pool_spec *spec;
};
/* -EINVAL, and applying->error says it of pools[N].field. */
int core_apply_fault(const struct core_apply_place *at, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The driver, its settings, and what it asks of the pool's other fields. */
int core_apply_check_driver(const struct core_apply_place *at);
/* Its VMs. */
int core_apply_check_vms(const struct core_apply_place *at);
/* 0, or a negative errno with applying->error. Changes nothing. */
int core_apply_check(struct core_applying *applying);
/* Notes in the answer what declaring `spec` would change. `current` is NULL for a new pool. Returns
 * whether anything would. */
bool core_apply_diff(struct core_applying *applying, const struct core_pool *current,
    const struct ph_pool_spec *spec, bool *vms_changed_out);
/* One field of a record as JSON text, owned by the caller (NULL without memory); and whether two have it alike. */
char *core_field_json(
    const struct ph_record *record, const struct ph_field *field, const void *value);
bool core_field_equal(
    const struct ph_record *record, const struct ph_field *field, const void *a, const void *b);
void core_apply_note(struct core_applying *applying, const char *action, const char *pool,
    const char *field, const char *before, const char *after);

#endif
