/*
 * What is done now and then: new settings, old history.
 */
#include "manager/serve/manager.h"

#include <string.h>
#include "base/clock.h"
#include "base/notify.h"

#define TRIM_EVERY_MS 5000
#define TRIM_ROWS 2000
#define DAY_MS ((int64_t)24 * 3600 * 1000)

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

void serve_reload(struct serve_manager *manager)
{
    struct serve_settings fresh = {0};
    struct ph_error error = {0};
    struct ph_event_in event = {.kind = PH_EV_CONFIG};

    ph_notify("RELOADING=1");
    if (serve_settings_read(&manager->options, &fresh, &error) != 0) {
        ph_log(PH_LOG_ERROR, "reload_refused", "field=%s text=%s", error.field, error.message);
        ph_notify("READY=1");
        return;
    }
    if (!same_text(fresh.file.listen, manager->settings.file.listen)) {
        ph_log(PH_LOG_WARNING, "reload", "key=listen text=%s", "takes effect at the next start");
    }
    if (fresh.file.agents_expected != manager->settings.file.agents_expected) {
        ph_log(PH_LOG_WARNING, "reload", "key=agents_expected text=%s",
            "takes effect at the next start");
    }
    serve_settings_fini(&manager->settings);
    manager->settings = fresh;
    ph_log_init("poolherd-manager", fresh.log_level);
    event.config = &manager->settings.core;
    serve_step(manager, &event);
    ph_log(PH_LOG_NOTICE, "reloaded", "beat_ms=%llu lease_ms=%llu stop_ms=%llu takeover_ms=%llu",
        (unsigned long long)fresh.core.timing.beat_ms,
        (unsigned long long)fresh.core.timing.lease_ms,
        (unsigned long long)fresh.core.timing.stop_ms,
        (unsigned long long)ph_timing_takeover_ms(&fresh.core.timing));
    ph_notify("READY=1");
}

/* Summer time begins and ends without a signal. */
static void look_at_zone(struct serve_manager *manager, int64_t wall_ms)
{
    struct ph_event_in event = {.kind = PH_EV_CONFIG, .config = &manager->settings.core};
    int64_t offset_ms = ph_clock_local_offset_ms(wall_ms);

    if (offset_ms != manager->settings.core.local_offset_ms) {
        manager->settings.core.local_offset_ms = offset_ms;
        serve_step(manager, &event);
    }
}

void serve_trim(struct serve_manager *manager)
{
    int64_t now_ms = ph_clock_wall_ms();
    struct ph_retention retention = {
        .history_before = now_ms - manager->settings.file.history_days * DAY_MS,
        .events_before = now_ms - manager->settings.file.events_days * DAY_MS,
        .jobs_before = now_ms - manager->settings.file.jobs_days * DAY_MS,
        .rows_max = TRIM_ROWS,
    };

    if (manager->now_ms < manager->trim_ms) {
        return;
    }
    manager->trim_ms = manager->now_ms + TRIM_EVERY_MS;
    ph_store_trim(manager->store, &retention);
    look_at_zone(manager, now_ms);
}
