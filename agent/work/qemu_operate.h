/* What is done to a machine once, over its monitor (docs/vms.md, "Operations"). Private to agent/work. */
#ifndef PH_AGENT_WORK_QEMU_OPERATE_H
#define PH_AGENT_WORK_QEMU_OPERATE_H

#include "agent/work/driver.h"

ph_work_operate ph_qemu_operate;
ph_work_operate ph_qemu_look;

#endif
