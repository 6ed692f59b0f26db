/*
 * Catalogue: the configuration files (YAML) of the manager and the agent. Read with ph_yaml_decode():
 * what a file does not name keeps its default, an unknown key is an error.
 */
#ifndef PH_CATALOGUE_CONFIG_H
#define PH_CATALOGUE_CONFIG_H

#define PH_VALUES_profile(V)                                                                       \
    V(PH_PROFILE_DEFAULT, "default", "beat 200 ms, lease 1200 ms, stop 500 ms")                    \
    V(PH_PROFILE_FAST, "fast", "beat 80 ms, lease 400 ms, stop 150 ms")                            \
    V(PH_PROFILE_GENTLE, "gentle", "beat 1 s, lease 10 s, stop 5 s")

#define PH_FIELDS_manager_config(F)                                                                \
    F(TEXT, listen, none, PH_OPT, 0, 255, "tcp://ADDR:PORT the manager binds")                     \
    F(TEXT, advertise, none, PH_OPT, 0, 255, "tcp://ADDR:PORT put into invitations; empty: listen")\
    F(ENUM, profile, profile, PH_OPT, 0, 0, "sets beat_ms, lease_ms and stop_ms together")         \
    F(INT, beat_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "how often agents beat; 0: the profile's")   \
    F(INT, lease_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "a lease's length; 0: the profile's")       \
    F(INT, stop_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "time to stop at lease end; 0: the profile's") \
    F(INT, watchdog_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "largest watchdog time-out counted on; 0: none") \
    F(TEXT, clock_drift, none, PH_OPT, 0, 32, "each clock's rate is within 1 +- this; empty: 0.001") \
    F(INT, silent_share_percent, none, PH_OPT, 1, 100, "more nodes silent together: take-over pauses") \
    F(INT, quarantine_failures, none, PH_OPT, 1, 1000, "losses in the window that quarantine a node") \
    F(INT, quarantine_window_s, none, PH_OPT, 1, 31536000, "the window")                           \
    F(INT, quarantine_s, none, PH_OPT, 1, 31536000, "how long a quarantine lasts")                 \
    F(INT, activation_attempts, none, PH_OPT, 1, 1000, "per candidate, before a pool is failed")   \
    F(INT, retry_ms, none, PH_OPT, 10, 60000, "first back-off between attempts; doubles up to a minute") \
    F(INT, moves_parallel, none, PH_OPT, 1, 1000, "of a drain without --max-parallel")             \
    F(INT, takeovers_per_node, none, PH_OPT, 1, 1000, "activations under way on one target at a time") \
    F(INT, history_days, none, PH_OPT, 1, 36500, "how long changes are kept for --as-of")          \
    F(INT, events_days, none, PH_OPT, 1, 36500, "how long events are kept")                        \
    F(INT, jobs_days, none, PH_OPT, 1, 36500, "how long ended jobs are kept")                      \
    F(INT, agents_expected, none, PH_OPT, 1, PH_NODES_MAX, "sizes sockets, backlog and I/O threads") \
    F(NAME, log_level, none, PH_OPT, 0, 63, "error, warning, notice, info, debug")

#define PH_FIELDS_agent_config(F)                                                                  \
    F(NAME, name, none, PH_OPT, 0, 63, "the node's name; must be the invitation's")                \
    F(TEXT, listen, none, PH_OPT, 0, 255, "tcp://ADDR:PORT of the data channel; PORT may be *")    \
    F(TEXT, advertise, none, PH_OPT, 0, 255, "tcp://ADDR:PORT other agents reach it at; empty: listen") \
    F(TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value")                                  \
    F(INT, cpu, none, PH_OPT, 0, 1000000, "processors offered, in thousandths; 0: all")            \
    F(INT, memory_mib, none, PH_OPT, 0, INT32_MAX, "memory offered; 0: all")                       \
    F(INT, disk_mib, none, PH_OPT, 0, INT32_MAX, "disk offered; 0: the file system's")             \
    F(TEXT, watchdog, none, PH_OPT, 0, 255, "watchdog device the guard feeds; empty: none")        \
    F(INT, copies_parallel, none, PH_OPT, 1, 1000, "copies sent at once")                          \
    F(NAME, log_level, none, PH_OPT, 0, 63, "error, warning, notice, info, debug")

/* config.yaml of the command line: where the manager is and who asks. */
#define PH_FIELDS_client_config(F)                                                                 \
    F(TEXT, manager, none, PH_OPT, 0, 4096, "a manager's directory, or tcp://ADDR:PORT")           \
    F(TEXT, identity, none, PH_OPT, 0, 4096, "path of an identity file")

#define PH_CONFIG_RECORDS(R) R(manager_config) R(agent_config) R(client_config)

#endif
