#include "db/batch.h"

#include <errno.h>
#include <stdlib.h>

struct ph_batch *ph_batch_new(void)
{
    return calloc(1, sizeof(struct ph_batch));
}

static int add(struct ph_batch *batch, const struct ph_record *record, const void *row, bool remove)
{
    if (batch->count == batch->room) {
        size_t room = batch->room == 0 ? 8 : batch->room * 2;
        struct ph_store_operation *bigger = realloc(batch->operations, room * sizeof *bigger);
        if (bigger == NULL)
            return -ENOMEM;
        batch->operations = bigger;
        batch->room = room;
    }
    void *copy = ph_record_new_copy(record, row);
    if (copy == NULL)
        return -ENOMEM;
    batch->operations[batch->count++] = (struct ph_store_operation){record, copy, remove};
    return 0;
}

int ph_batch_save(struct ph_batch *batch, const struct ph_record *record, const void *row)
{
    return add(batch, record, row, false);
}

int ph_batch_remove(struct ph_batch *batch, const struct ph_record *record, const void *row)
{
    return add(batch, record, row, true);
}

bool ph_batch_empty(const struct ph_batch *batch)
{
    return batch->count == 0;
}

void ph_batch_destroy(struct ph_batch **batch)
{
    if (*batch == NULL)
        return;
    for (size_t i = 0; i < (*batch)->count; i++)
        ph_record_destroy((*batch)->operations[i].record, &(*batch)->operations[i].row);
    free((*batch)->operations);
    free(*batch);
    *batch = NULL;
}
