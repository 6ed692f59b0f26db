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

#define PH_FIELDS_manager_config(F, T)                                                             \
    F(T, TEXT, listen, none, PH_OPT, 0, 255, "tcp://ADDR:PORT the manager binds")                  \
    F(T, TEXT, advertise, none, PH_OPT, 0, 255, "tcp://ADDR:PORT put into invitations; empty: listen") \
    F(T, ENUM, profile, profile, PH_OPT, 0, 0, "sets beat_ms, lease_ms and stop_ms together")      \
    F(T, INT, beat_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "how often agents beat; 0: the profile's") \
    F(T, INT, lease_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "a lease's length; 0: the profile's")    \
    F(T, INT, stop_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "time to stop at lease end; 0: the profile's") \
    F(T, INT, watchdog_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "wait at least so long for any node's watchdog; 0: as each reports") \
    F(T, TEXT, clock_drift, none, PH_OPT, 0, 32, "each clock's rate is within 1 +- this; empty: 0.001") \
    F(T, INT, silent_share_percent, none, PH_OPT, 1, 100, "more nodes silent together: take-over pauses") \
    F(T, INT, quarantine_failures, none, PH_OPT, 1, 1000, "losses in the window that quarantine a node") \
    F(T, INT, quarantine_window_s, none, PH_OPT, 1, 31536000, "the window")                        \
    F(T, INT, quarantine_s, none, PH_OPT, 1, 31536000, "how long a quarantine lasts")              \
    F(T, INT, activation_attempts, none, PH_OPT, 1, 1000, "per candidate, before a pool is failed") \
    F(T, INT, retry_ms, none, PH_OPT, 10, 60000, "first back-off between attempts; doubles up to a minute") \
    F(T, INT, moves_parallel, none, PH_OPT, 1, 1000, "of a drain without --max-parallel")          \
    F(T, INT, takeovers_per_node, none, PH_OPT, 1, 1000, "activations under way on one target at a time") \
    F(T, INT, history_days, none, PH_OPT, 1, 36500, "how long changes are kept for --as-of")       \
    F(T, INT, events_days, none, PH_OPT, 1, 36500, "how long events are kept")                     \
    F(T, INT, jobs_days, none, PH_OPT, 1, 36500, "how long ended jobs are kept")                   \
    F(T, INT, agents_expected, none, PH_OPT, 1, PH_NODES_MAX, "sizes sockets, backlog and I/O threads") \
    F(T, NAME, log_level, none, PH_OPT, 0, 63, "error, warning, notice, info, debug")              \
    F(T, ENUM, without_watchdog, without_watchdog, PH_OPT, 0, 0, "silent nodes that have none: accept or hold") \
    F(T, INT, fence_test_interval_s, none, PH_OPT, 0, 31536000, "how often each fence device is asked for its status; 0: never") \
    F(T, TEXT, failure_domain, none, PH_OPT, 0, 63, "label key whose value says which nodes fail together, such as rack; witnesses are chosen apart") \
    F(T, INT, diverged_keep_s, none, PH_OPT, 0, 3153600000, "how long data that a newer copy replaced is kept aside; 0: for ever")

#define PH_FIELDS_agent_config(F, T)                                                               \
    F(T, NAME, name, none, PH_OPT, 0, 63, "the node's name; must be the invitation's")             \
    F(T, TEXT, listen, none, PH_OPT, 0, 255, "tcp://ADDR:PORT of the data channel; PORT may be *") \
    F(T, TEXT, advertise, none, PH_OPT, 0, 255, "tcp://ADDR:PORT other agents reach it at; empty: listen") \
    F(T, TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value")                               \
    F(T, INT, cpu, none, PH_OPT, 0, 1000000, "processors offered, in thousandths; 0: all")         \
    F(T, INT, memory_mib, none, PH_OPT, 0, INT32_MAX, "memory offered; 0: all")                    \
    F(T, INT, disk_mib, none, PH_OPT, 0, INT32_MAX, "disk offered; 0: the file system's")          \
    F(T, TEXT, watchdog, none, PH_OPT, 0, 255, "watchdog device the guard feeds; empty: none")     \
    F(T, INT, copies_parallel, none, PH_OPT, 1, 1000, "copies sent at once")                       \
    F(T, INT, copy_stall_s, none, PH_OPT, 1, 86400, "a copy whose tool moves nothing for so long has failed") \
    F(T, NAME, log_level, none, PH_OPT, 0, 63, "error, warning, notice, info, debug")              \
    F(T, INT, watchdog_s, none, PH_OPT, 0, 600, "time-out to set on the watchdog; 0: what it has") \
    F(T, BOOL, pid_namespaces, none, PH_OPT, 0, 0, "each pool in a PID namespace where that is allowed; true unless set") \
    F(T, INT, bandwidth_kib_s, none, PH_OPT, 0, 1000000000, "limit of all copies sent together; 0: none")

/* config.yaml of the command line: where the manager is and who asks. */
#define PH_FIELDS_client_config(F, T)                                                              \
    F(T, TEXT, manager, none, PH_OPT, 0, 4096, "a manager's directory, or tcp://ADDR:PORT")        \
    F(T, TEXT, identity, none, PH_OPT, 0, 4096, "path of an identity file")

#define PH_CONFIG_RECORDS(R) R(manager_config) R(agent_config) R(client_config)

#endif
