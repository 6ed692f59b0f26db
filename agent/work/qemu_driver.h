/*
 * The `qemu` driver: a machine run by QEMU, spoken to over its monitor. Table entry only.
 */
#ifndef PH_AGENT_WORK_QEMU_DRIVER_H
#define PH_AGENT_WORK_QEMU_DRIVER_H

#include "agent/work/driver.h"

extern const struct ph_work_driver ph_work_driver_qemu;

#endif
