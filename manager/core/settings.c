/*
 * Settings of pool drivers. They are records in a declaration and one JSON text in the inventory, since a row
 * has no nested records.
 */
#include "manager/core/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/check.h"
#include "proto/codec.h"

void core_settings_store(struct ph_core *core, struct ph_pool *row, const struct ph_pool_spec *spec)
{
    struct ph_pool_settings settings = {.image = spec->image,
        .shared = spec->shared,
        .ocf = spec->ocf,
        .verify_interval_s = spec->verify_interval_s,
        .bandwidth_kib_s = spec->bandwidth_kib_s}; /* borrowed */
    size_t bytes = 0;

    free(row->settings);
    row->settings = NULL;
    if (ph_record_empty(&ph_record_pool_settings, &settings))
        return;
    if (ph_encode(&ph_record_pool_settings, &settings, PH_ENCODE_WIRE, &row->settings, &bytes) != 0)
        core->no_memory = true;
}

void core_settings_read(struct ph_core *core, const struct ph_pool *row, struct ph_pool_spec *spec)
{
    struct ph_pool_settings settings = {0};
    struct ph_error why;

    if (row->settings == NULL)
        return;
    /* What was stored was checked; what cannot be read all the same counts as not declared. */
    int rv =
        ph_decode(&ph_record_pool_settings, row->settings, strlen(row->settings), &settings, &why);

    if (rv == 0) { /* moved */
        spec->image = settings.image;
        spec->shared = settings.shared;
        spec->ocf = settings.ocf;
        spec->verify_interval_s = settings.verify_interval_s;
        spec->bandwidth_kib_s = settings.bandwidth_kib_s;
    } else if (rv == -ENOMEM) {
        core->no_memory = true;
    }
}

bool core_data_is_shared(const struct ph_pool *row)
{
    return strcmp(row->driver, "shared") == 0 || strcmp(row->driver, "ocf") == 0;
}

bool core_needs_fencing(const struct ph_pool *row)
{
    struct ph_pool_settings settings = {0};
    bool told = false;

    if (!core_data_is_shared(row))
        return false;
    /* What cannot be read says nothing, and then fencing is needed. */
    if (row->settings != NULL && ph_decode(&ph_record_pool_settings, row->settings,
                                     strlen(row->settings), &settings, NULL) == 0)
        told = strcmp(row->driver, "shared") == 0 ? settings.shared.without_fencing
                                                  : settings.ocf.without_fencing;
    ph_record_fini(&ph_record_pool_settings, &settings);
    return !told;
}
