/* Containers: crun in the pool's cgroup and namespace, with a bundle made at each start. See docs/containers.md. */
#ifndef PH_AGENT_WORK_CONTAINER_DRIVER_H
#define PH_AGENT_WORK_CONTAINER_DRIVER_H

#include "agent/work/driver.h"

extern const struct ph_work_driver ph_work_driver_container;

#endif
