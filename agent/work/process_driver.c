#include "agent/work/process_driver.h"

#include <errno.h>
#include <string.h>
#include "agent/work/command.h"
#include "agent/work/run.h"

static int probe(struct ph_error *error)
{
    (void)error;
    return 0;
}

static int start(const struct ph_work_context *context, struct ph_work_process *process_out,
    struct ph_error *error)
{
    struct ph_command command = {NULL, NULL, NULL};
    int rv = ph_command_check(context->vm, error);
    if (rv != 0)
        return rv;
    rv = ph_command_make(context, &command);
    if (rv != 0) {
        ph_error_set(
            error, PH_FAILED, NULL, "%s cannot be prepared: %s", context->vm->name, strerror(-rv));
        return rv;
    }
    rv = ph_run_start(context, &command, context->pool_path, process_out, error);
    ph_command_fini(&command);
    return rv;
}

static int stop(
    const struct ph_work_context *context, struct ph_work_process *process, struct ph_error *error)
{
    return ph_run_stop(context, process, ph_run_signal, error);
}

const struct ph_work_driver ph_work_driver_process = {.name = "process",
    .probe = probe,
    .check = ph_command_check,
    .start = start,
    .stop = stop,
    .adopt = ph_run_adopt};
