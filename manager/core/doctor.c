/*
 * Which guarantees hold on this installation, and what would make the missing ones hold.
 *
 * Each finding says in one sentence what holds or what breaks it, with the names and numbers; what
 * does not hold comes first and carries a remedy. The ones about nodes and pools are in
 * doctor_nodes.c and doctor_pools.c.
 */
#include "manager/core/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void find(struct core_doctor *doctor,
    const char *guarantee, const char *remedy, const char *format, va_list arguments)
{
    struct ph_finding_list *list = remedy == NULL ? &doctor->sound : &doctor->broken;
    struct ph_finding *finding = ph_many_add(&ph_record_finding, (struct ph_many *)(void *)list);
    char text[PH_TEXT_BYTES_MAX + 1];

    if (finding == NULL) {
        doctor->core->no_memory = true;
        return;
    }
    ph_text_vformat(text, sizeof text, format, arguments);
    finding->holds = remedy == NULL;
    core_copy_text(doctor->core, &finding->guarantee, guarantee);
    core_copy_text(doctor->core, &finding->message, text);
    core_copy_text(doctor->core, &finding->remedy, remedy);
}

void core_holds(struct core_doctor *doctor, const char *guarantee, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    find(doctor, guarantee, NULL, format, arguments);
    va_end(arguments);
}

void core_broken(
    struct core_doctor *doctor, const char *guarantee, const char *remedy, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    find(doctor, guarantee, remedy, format, arguments);
    va_end(arguments);
}

static void find_lease(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    const struct ph_timing *timing = &core->config.timing;
    struct ph_error error = {0};

    if (ph_timing_check(timing, &error) == 0)
        core_holds(doctor, "lease-rules",
            "a node beats every %llu ms, its lease lasts %llu ms, it stops everything within %llu "
            "ms, and a silent node's pools may move %llu ms after its last grant",
            (unsigned long long)timing->beat_ms, (unsigned long long)timing->lease_ms,
            (unsigned long long)timing->stop_ms, (unsigned long long)core->takeover_ms);
    else
        core_broken(doctor, "lease-rules",
            "set beat_ms, lease_ms and stop_ms in the manager's configuration, or a profile", "%s",
            error.message);
    if (timing->clock_drift > 0)
        core_holds(doctor, "clock-drift",
            "the wait allows each machine's clock to run up to %g of its rate fast or slow",
            timing->clock_drift);
    else
        core_broken(doctor, "clock-drift",
            "set clock_drift to what the machines' clocks may be off by; 0.001 is usual",
            "clock_drift is 0: the wait is long enough only when all clocks run at exactly the "
            "same "
            "rate");
}

static void find_manager(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    const char *resume = "look at the silent nodes and fence those that are dead; then: poolherd "
                         "cluster resume";

    core_broken(doctor, "manager-single",
        "keep backups of the manager's directory, and start one elsewhere with --advance-term when "
        "its machine is lost",
        "there is one manager: while its machine is down nothing is taken over, moved or declared, "
        "though with witnesses every pool runs on");
    if (core->outdated)
        core_broken(doctor, "manager-term",
            "make sure that no other manager of this cluster runs, then restart this one with "
            "--advance-term",
            "an agent has seen term %lld and this manager has %lld: its inventory is older than "
            "another's, so it grants no lease",
            (long long)core->seen_term, (long long)core->term);
    else
        core_holds(doctor, "manager-term", "no agent has seen a higher term than this one's, %lld",
            (long long)core->term);
    if (core_pause_reason(core) != NULL)
        core_broken(doctor, "automatic-action", resume, "automatic take-over is paused: %s",
            core_pause_reason(core));
    else
        core_holds(doctor, "automatic-action", "pools of lost nodes are taken over automatically");
}

int ph_request_doctor(struct ph_core *core, const struct ph_event_in *in)
{
    struct core_doctor doctor = {.core = core};
    struct ph_findings_shown shown = {0};
    struct ph_many *many = (struct ph_many *)(void *)&shown.findings;

    find_manager(&doctor);
    core_find_nodes(&doctor);
    core_find_pools(&doctor);
    core_find_last_resorts(&doctor);
    find_lease(&doctor);
    if (ph_many_reserve(&ph_record_finding, many, doctor.broken.count + doctor.sound.count) != 0)
        core->no_memory = true;
    for (int i = 0; i < 2; i++) {
        struct ph_finding_list *list = i == 0 ? &doctor.broken : &doctor.sound;

        for (size_t f = 0; f < list->count && !core->no_memory; f++) {
            struct ph_finding *finding = ph_many_add(&ph_record_finding, many);

            if (finding == NULL)
                core->no_memory = true;
            else { /* what it owns moves */
                *finding = list->items[f];
                list->items[f] = (struct ph_finding){0};
            }
        }
        for (size_t f = 0; f < list->count; f++)
            ph_record_fini(&ph_record_finding, &list->items[f]);
        free(list->items);
    }
    core_answer_take(core, in, PH_MSG_FINDINGS_SHOWN, &shown);
    return 0;
}
