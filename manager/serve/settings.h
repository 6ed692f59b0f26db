/* The manager's configuration file, made into what the core and the shell want. Private. */
#ifndef PH_SERVE_SETTINGS_H
#define PH_SERVE_SETTINGS_H

#include "base/log.h"
#include "manager/core/core.h"
#include "manager/serve/serve.h"

#define SERVE_PATH_BYTES 4096

struct serve_settings {
    struct ph_manager_config file; /* with defaults filled in */
    struct ph_core_config core;
    enum ph_log_level log_level;
    char path[SERVE_PATH_BYTES]; /* "" when there is no file */
};

/* *settings_out is replaced on success only; initialise with zeroes. */
int serve_settings_read(const struct ph_serve_options *options, struct serve_settings *settings_out,
    struct ph_error *error);
void serve_settings_fini(struct serve_settings *settings);

#endif
