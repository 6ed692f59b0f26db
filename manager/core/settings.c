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
    struct ph_pool_settings settings = {.image = spec->image}; /* borrowed */
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

    if (rv == 0)
        spec->image = settings.image; /* moved */
    else if (rv == -ENOMEM)
        core->no_memory = true;
}
