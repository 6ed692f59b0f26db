/*
 * Inside manager/core: the findings of `poolherd doctor` while they are collected. Pure.
 */
#ifndef PH_MANAGER_DOCTOR_H
#define PH_MANAGER_DOCTOR_H

#include "manager/core/request.h"

struct core_doctor {
    struct ph_core *core;
    struct ph_finding_list broken, sound;
};

/* Notes one finding: a guarantee that holds, or one that does not and its remedy. */
void core_holds(struct core_doctor *doctor, const char *guarantee, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void core_broken(struct core_doctor *doctor, const char *guarantee, const char *remedy,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

void core_find_nodes(struct core_doctor *doctor);
void core_find_fencing(struct core_doctor *doctor); /* fence_view.c */
void core_find_pools(struct core_doctor *doctor);
void core_find_last_resorts(struct core_doctor *doctor);

#endif
