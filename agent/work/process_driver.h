/*
 * The `process` driver: a command, run as it is. Table entry only.
 */
#ifndef PH_AGENT_WORK_PROCESS_DRIVER_H
#define PH_AGENT_WORK_PROCESS_DRIVER_H

#include "agent/work/driver.h"

extern const struct ph_work_driver ph_work_driver_process;

#endif
