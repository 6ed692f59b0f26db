/*
 * What the agent runs with: its configuration file over defaults, the command line over both, and
 * what the machine has. Not pure.
 */
#ifndef PH_AGENT_SERVE_SETTINGS_H
#define PH_AGENT_SERVE_SETTINGS_H

#include "agent/core/core.h"
#include "agent/serve/run.h"
#include "proto/keys.h"

/* Fills *config (initialised) with defaults, the file and the command line. -EINVAL or -errno with
 * *error naming file, line, field. */
int ph_settings_read(
    const struct ph_agent_options *options, struct ph_agent_config *config, struct ph_error *error);

/* Loads DIR/agent.identity, or enrols with options->token and then loads it. */
int ph_settings_identity(const struct ph_agent_options *options, const char *wanted_name,
    struct ph_identity_file *identity, struct ph_error *error);

/* Fills hello with what is known before the manager is: endpoint, labels, sizes
 * (configured, else the machine's), boot id, version. hello is initialised. */
int ph_settings_hello(const struct ph_agent_config *config, const char *directory,
    const char *endpoint, struct ph_hello *hello);

/* The instance that last ran on DIR ("" for none) and a new one, which replaces it durably. */
int ph_settings_instance(const char *directory, char previous[65], char instance[65]);

/* Where to listen: as configured, but with the port that an agent on DIR had last in the place of a "*",
 * so that other nodes reach it again after a restart, also while the manager is away. False: nothing is
 * known, or a port is configured. */
bool ph_settings_last_listen(
    const char *directory, const char *configured, char *listen, size_t size);
/* Remembers the port of the endpoint; a failure costs that only. */
void ph_settings_keep_port(const char *directory, const char *endpoint);

/* The machine's (settings_linux.c and settings_other.c): boot id, "" when unknown; memory in MiB. */
void ph_machine_boot_id(char *out, size_t size);
int64_t ph_machine_memory_mib(void);

#endif
