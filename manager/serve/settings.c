#include "manager/serve/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "proto/yaml.h"

#define DEFAULT_LISTEN "tcp://127.0.0.1:7460"

static int defaults_set(struct ph_manager_config *file)
{
    struct ph_core_config core;

    ph_core_config_default(&core);
    file->silent_share_percent = core.silent_share_percent;
    file->quarantine_failures = core.quarantine_failures;
    file->quarantine_window_s = (int64_t)(core.quarantine_window_ms / 1000);
    file->quarantine_s = (int64_t)(core.quarantine_ms / 1000);
    file->activation_attempts = core.activation_attempts;
    file->retry_ms = (int64_t)core.retry_ms;
    file->moves_parallel = core.moves_parallel;
    file->takeovers_per_node = core.takeovers_per_node;
    file->fence_test_interval_s = (int64_t)(core.fence_test_ms / 1000);
    file->diverged_keep_s = (int64_t)(core.diverged_keep_ms / 1000);
    file->history_days = 30;
    file->events_days = 90;
    file->jobs_days = 90;
    file->agents_expected = 2000;
    ph_text_format(file->log_level, sizeof file->log_level, "notice");
    return ph_set_text(&file->listen, DEFAULT_LISTEN);
}

static int log_level_find(const char *word, enum ph_log_level *level_out, struct ph_error *error)
{
    static const char *const words[] = {"error", "warning", "notice", "info", "debug"};
    size_t i;

    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            *level_out = (enum ph_log_level)i;
            return 0;
        }
    }
    return ph_error_set(error, PH_BAD_INPUT, "log_level",
        "log_level \"%s\" must be error, warning, notice, info or debug", word);
}

static int drift_read(const char *text, double *drift_out, struct ph_error *error)
{
    char *end;
    double drift;

    if (text == NULL) {
        return 0;
    }
    errno = 0;
    drift = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(drift >= 0.0 && drift <= 0.1)) {
        return ph_error_set(error, PH_BAD_INPUT, "clock_drift",
            "clock_drift \"%s\" must be a number from 0 to 0.1", text);
    }
    *drift_out = drift;
    return 0;
}

static int timing_make(
    const struct ph_manager_config *file, struct ph_timing *timing, struct ph_error *error)
{
    int rv = ph_timing_profile(ph_enum_word(&ph_enum_profile, (int)file->profile), timing);

    if (rv != 0) {
        return ph_error_set(error, PH_BAD_INPUT, "profile", "there is no such profile");
    }
    timing->beat_ms = file->beat_ms > 0 ? (uint64_t)file->beat_ms : timing->beat_ms;
    timing->lease_ms = file->lease_ms > 0 ? (uint64_t)file->lease_ms : timing->lease_ms;
    timing->stop_ms = file->stop_ms > 0 ? (uint64_t)file->stop_ms : timing->stop_ms;
    timing->watchdog_ms = (uint64_t)file->watchdog_ms;
    rv = drift_read(file->clock_drift, &timing->clock_drift, error);
    return rv != 0 ? rv : ph_timing_check(timing, error);
}

static int settings_make(struct serve_settings *settings, struct ph_error *error)
{
    const struct ph_manager_config *file = &settings->file;
    struct ph_core_config *core = &settings->core;
    int rv;

    ph_core_config_default(core);
    core->silent_share_percent = (int)file->silent_share_percent;
    core->quarantine_failures = (int)file->quarantine_failures;
    core->quarantine_window_ms = (uint64_t)file->quarantine_window_s * 1000;
    core->quarantine_ms = (uint64_t)file->quarantine_s * 1000;
    core->activation_attempts = (int)file->activation_attempts;
    core->retry_ms = (uint64_t)file->retry_ms;
    core->moves_parallel = (int)file->moves_parallel;
    core->takeovers_per_node = (int)file->takeovers_per_node;
    core->hold_without_watchdog = file->without_watchdog == PH_WITHOUT_WATCHDOG_HOLD;
    core->fence_test_ms = (uint64_t)file->fence_test_interval_s * 1000;
    core->diverged_keep_ms = (uint64_t)file->diverged_keep_s * 1000;
    ph_text_format(core->failure_domain, sizeof core->failure_domain, "%s",
        file->failure_domain != NULL ? file->failure_domain : "");
    core->local_offset_ms = ph_clock_local_offset_ms(ph_clock_wall_ms());
    rv = timing_make(file, &core->timing, error);
    return rv != 0 ? rv : log_level_find(file->log_level, &settings->log_level, error);
}

static int file_decode(const char *path, struct ph_manager_config *file, struct ph_error *error)
{
    struct ph_yaml *root = NULL;
    int rv = ph_yaml_read(path, &root, error);

    if (rv == 0 && root != NULL) {
        rv = ph_yaml_decode(&ph_record_manager_config, root, path, file, error);
    }
    ph_yaml_destroy(&root);
    return rv;
}

/* "lease_ms" becomes "/etc/poolherd/manager.yaml: lease_ms". */
static void blame_file(const char *path, struct ph_error *error)
{
    char field[sizeof error->field];

    ph_text_format(field, sizeof field, "%s: %s", path, error->field);
    memcpy(error->field, field, sizeof field);
}

int serve_settings_read(const struct ph_serve_options *options, struct serve_settings *settings_out,
    struct ph_error *error)
{
    struct serve_settings settings = {0};
    int rv;

    if (options->config_path != NULL) {
        ph_text_format(settings.path, sizeof settings.path, "%s", options->config_path);
    } else if (options->directory != NULL && (ph_path_join(settings.path, sizeof settings.path,
                                                  options->directory, "manager.yaml") != 0 ||
                                                 access(settings.path, F_OK) != 0)) {
        settings.path[0] = '\0';
    }
    rv = defaults_set(&settings.file);
    if (rv == 0 && settings.path[0] != '\0') {
        rv = file_decode(settings.path, &settings.file, error);
    }
    if (rv == 0 && options->listen != NULL) {
        rv = ph_set_text(&settings.file.listen, options->listen);
    }
    if (rv == 0 && settings.file.listen == NULL) {
        rv = ph_set_text(&settings.file.listen, DEFAULT_LISTEN);
    }
    if (rv == -ENOMEM) {
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    }
    if (rv == 0) {
        rv = settings_make(&settings, error);
        if (rv != 0 && settings.path[0] != '\0') {
            blame_file(settings.path, error);
        }
    }
    if (rv != 0) {
        serve_settings_fini(&settings);
        return rv;
    }
    serve_settings_fini(settings_out);
    *settings_out = settings;
    return 0;
}

void serve_settings_fini(struct serve_settings *settings)
{
    ph_record_fini(&ph_record_manager_config, &settings->file);
    memset(settings, 0, sizeof *settings);
}

int ph_serve_check_config(const struct ph_serve_options *options, struct ph_error *error)
{
    struct serve_settings settings = {0};
    int rv = serve_settings_read(options, &settings, error);

    serve_settings_fini(&settings);
    return rv;
}
