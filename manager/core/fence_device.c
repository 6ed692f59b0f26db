/*
 * The fence devices of a node: made, found, sorted, forgotten. See fencing.h.
 */
#include "manager/core/fencing.h"

#include <stdlib.h>
#include <string.h>

struct core_fencing *core_fencing_make(struct ph_core *core, struct core_node *node)
{
    if (node->fencing != NULL)
        return node->fencing;
    node->fencing = calloc(1, sizeof *node->fencing);
    if (node->fencing == NULL) {
        core->no_memory = true;
        return NULL;
    }
    core_timer_init(core, &node->fencing->timer, CORE_TIMER_FENCE, node);
    return node->fencing;
}

struct core_device *core_device_find(const struct core_node *node, const char *name)
{
    for (size_t i = 0; node->fencing != NULL && i < node->fencing->count; i++) {
        if (strcmp(node->fencing->devices[i]->row.name, name) == 0)
            return node->fencing->devices[i];
    }
    return NULL;
}

static bool comes_before(const struct ph_fence_device *a, const struct ph_fence_device *b)
{
    if (a->level != b->level)
        return a->level < b->level;
    return a->position != b->position ? a->position < b->position : strcmp(a->name, b->name) < 0;
}

void core_fencing_sort(struct core_fencing *fencing)
{
    for (size_t i = 1; i < fencing->count; i++) {
        struct core_device *device = fencing->devices[i];
        size_t at = i;

        for (; at > 0 && comes_before(&device->row, &fencing->devices[at - 1]->row); at--)
            fencing->devices[at] = fencing->devices[at - 1];
        fencing->devices[at] = device;
    }
}

struct core_device *core_device_add(
    struct ph_core *core, struct core_node *node, const struct ph_fence_device *row)
{
    struct core_fencing *fencing = core_fencing_make(core, node);
    struct core_device *device = fencing == NULL || fencing->count == PH_FENCE_DEVICES_MAX
                                     ? NULL
                                     : calloc(1, sizeof *device);

    if (device == NULL || ph_record_copy(&ph_record_fence_device, &device->row, row) != 0) {
        core->no_memory = true;
        free(device);
        return NULL;
    }
    fencing->devices[fencing->count++] = device;
    core_fencing_sort(fencing);
    return device;
}

static void device_free(struct core_device *device)
{
    ph_record_fini(&ph_record_fence_device, &device->row);
    free(device);
}

void core_device_remove(struct ph_core *core, struct core_node *node, struct core_device *device)
{
    struct core_fencing *fencing = node->fencing;

    for (size_t i = 0; i < fencing->count; i++) {
        if (fencing->devices[i] != device)
            continue;
        fencing->count--;
        memmove(&fencing->devices[i], &fencing->devices[i + 1],
            (fencing->count - i) * sizeof(struct core_device *));
        break;
    }
    core_remove(core, &ph_record_fence_device, &device->row);
    device_free(device);
}

void core_fencing_free(struct ph_core *core, struct core_node *node)
{
    if (node->fencing == NULL)
        return;
    core_timer_clear(core, &node->fencing->timer);
    for (size_t i = 0; i < node->fencing->count; i++)
        device_free(node->fencing->devices[i]);
    free(node->fencing);
    node->fencing = NULL;
}

void core_fencing_forget(struct ph_core *core, struct core_node *node)
{
    if (node->fence != NULL)
        core_job_end(core, node->fence, PH_JOB_CANCELLED, "the node is gone");
    while (node->fencing != NULL && node->fencing->count > 0)
        core_device_remove(core, node, node->fencing->devices[node->fencing->count - 1]);
}
