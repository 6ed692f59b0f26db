#include "agent/work/driver.h"

#include <string.h>
#include "agent/work/container_driver.h"
#include "agent/work/process_driver.h"
#include "agent/work/qemu_driver.h"
#include "agent/work/resource_driver.h"
#include "agent/work/system.h"

const struct ph_work_driver *const ph_work_drivers[] = {&ph_work_driver_process,
    &ph_work_driver_qemu, &ph_work_driver_container, &ph_work_driver_ocf, NULL};

const struct ph_work_driver *ph_work_driver_find(const char *name)
{
    for (size_t i = 0; ph_work_drivers[i] != NULL; i++)
        if (strcmp(ph_work_drivers[i]->name, name) == 0)
            return ph_work_drivers[i];
    return NULL;
}

int ph_work_exit_status(const struct ph_work_process *process)
{
    int status;
    return process->pid > 0 && ph_work_pid_wait(process, &status) == 0 ? status : -1;
}
