/* OCF resource agents as workloads: poolherd-resource starts one and looks after it. See docs/resources.md. */
#ifndef PH_AGENT_WORK_RESOURCE_DRIVER_H
#define PH_AGENT_WORK_RESOURCE_DRIVER_H

#include "agent/work/driver.h"

extern const struct ph_work_driver ph_work_driver_ocf;

#endif
