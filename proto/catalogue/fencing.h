/*
 * Catalogue: fence devices. What people declare (YAML, `poolherd fence apply`), what the inventory
 * keeps, what the manager asks of whoever runs a fence agent, and what is answered.
 *
 * No field here ever holds a secret: a device names the file that does, on the machine that runs the
 * agent.
 */
#ifndef PH_CATALOGUE_FENCING_H
#define PH_CATALOGUE_FENCING_H

#define PH_VALUES_power_state(V)                                                                   \
    V(PH_POWER_UNKNOWN, "unknown", "not asked yet")                                                \
    V(PH_POWER_ON, "on", "its status said that the node is on")                                    \
    V(PH_POWER_OFF, "off", "its status said that the node is off")                                 \
    V(PH_POWER_FAILED, "failed", "it gave no status; see reason")

#define PH_VALUES_fence_action(V)                                                                  \
    V(PH_FENCE_STATUS, "status", "ask, and change nothing")                                        \
    V(PH_FENCE_OFF, "off", "switch off, then ask")                                                 \
    V(PH_FENCE_ON, "on", "switch on, then ask")

/* -- declared -- */
#define PH_FIELDS_fence_spec(F, T)                                                                 \
    F(T, NAME, name, none, PH_REQ, 1, 63, "the device's name, unique among the node's")            \
    F(T, INT, level, none, PH_OPT, 0, PH_FENCE_LEVELS_MAX, "levels are tried in ascending order, and all devices of one must succeed; 0: 1") \
    F(T, TEXT, agent, none, PH_REQ, 1, 63, "the fence agent: fence_ipmilan, fence_apc, ... (Debian's fence-agents)") \
    F(T, TEXTS, options, none, PH_OPT, 0, PH_FENCE_OPTIONS_MAX, "key=value, as the agent's man page says; shown to everybody: no secrets") \
    F(T, TEXTS, option_files, none, PH_OPT, 0, PH_FENCE_OPTIONS_MAX, "key=/path: as options, but the value is read from this file where the agent is run") \
    F(T, TEXTS, run_from, none, PH_OPT, 0, PH_FENCE_PLACES_MAX, "where the agent can be run, best first: manager, or names of other nodes; empty: manager") \
    F(T, INT, delay_ms, none, PH_OPT, 0, 600000, "how long after a node fell silent it is first told to switch it off") \
    F(T, INT, timeout_ms, none, PH_OPT, 0, 600000, "limit of one call of the agent; 0: 20000")     \
    F(T, INT, attempts, none, PH_OPT, 0, 10, "calls of a round before the device counts as failed; 0: 2")

#define PH_FIELDS_fence_node(F, T)                                                                 \
    F(T, NAME, node, none, PH_REQ, 1, 63, "the node that is switched off")                         \
    F(T, MANY, devices, fence_spec, PH_REQ, 0, PH_FENCE_DEVICES_MAX, "its devices; an empty list removes them")

#define PH_FIELDS_fencing_declaration(F, T)                                                        \
    F(T, MANY, fencing, fence_node, PH_REQ, 0, PH_NODES_MAX, "fence devices, node by node")

/* -- kept -- */
#define PH_FIELDS_fence_device(F, T)                                                               \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the node that it switches off")                         \
    F(T, NAME, name, none, PH_KEY, 1, 63, "its name, unique among the node's")                     \
    F(T, INT, position, none, PH_OPT, 0, PH_FENCE_DEVICES_MAX, "as declared")                      \
    F(T, INT, level, none, PH_OPT, 0, PH_FENCE_LEVELS_MAX, "levels are tried in ascending order, and all devices of one must succeed") \
    F(T, TEXT, agent, none, PH_OPT, 0, 63, "the fence agent")                                      \
    F(T, TEXTS, options, none, PH_OPT, 0, PH_FENCE_OPTIONS_MAX, "key=value for the agent; never a secret") \
    F(T, TEXTS, option_files, none, PH_OPT, 0, PH_FENCE_OPTIONS_MAX, "key=/path of the file with the value") \
    F(T, TEXTS, run_from, none, PH_OPT, 0, PH_FENCE_PLACES_MAX, "where the agent can be run, best first") \
    F(T, INT, delay_ms, none, PH_OPT, 0, 600000, "how long after a node fell silent it is first told to switch it off") \
    F(T, INT, timeout_ms, none, PH_OPT, 0, 600000, "limit of one call of the agent")               \
    F(T, INT, attempts, none, PH_OPT, 0, 10, "calls of a round before the device counts as failed") \
    F(T, ENUM, power, power_state, PH_OPT, 0, 0, "what its last status said")                      \
    F(T, INT, checked_at, none, PH_OPT, 0, INT64_MAX, "when that was; 0: never")                   \
    F(T, NAME, checked_from, none, PH_OPT, 0, 63, "where the agent was run: manager, or a node")   \
    F(T, INT, failures, none, PH_OPT, 0, INT32_MAX, "calls in a row that gave no status")          \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what the last call said")

/* -- asked and answered -- */
#define PH_FIELDS_fence_apply(F, T)                                                                \
    F(T, MANY, fencing, fence_node, PH_OPT, 0, PH_NODES_MAX, "the declarations; a node named here gets exactly these devices") \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would change")                          \
    F(T, BOOL, prune, none, PH_OPT, 0, 0, "nodes not named here lose their devices")

#define PH_FIELDS_fence_change(F, T)                                                               \
    F(T, TEXT, action, none, PH_REQ, 1, 16, "add, change, remove")                                 \
    F(T, NAME, node, none, PH_REQ, 1, 63, "the node")                                              \
    F(T, NAME, device, none, PH_REQ, 1, 63, "the device")                                          \
    F(T, TEXT, field, none, PH_OPT, 0, 128, "of a change: which field")                            \
    F(T, TEXT, before, none, PH_OPT, 0, 65536, "of a change: the old value as JSON")               \
    F(T, TEXT, after, none, PH_OPT, 0, 65536, "of a change: the new value as JSON")

#define PH_FIELDS_fence_applied(F, T)                                                              \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "nothing was changed")                                 \
    F(T, INT, added, none, PH_OPT, 0, INT64_MAX, "devices")                                        \
    F(T, INT, changed, none, PH_OPT, 0, INT64_MAX, "devices")                                      \
    F(T, INT, removed, none, PH_OPT, 0, INT64_MAX, "devices")                                      \
    F(T, INT, unchanged, none, PH_OPT, 0, INT64_MAX, "devices")                                    \
    F(T, MANY, changes, fence_change, PH_OPT, 0, PH_LIST_ITEMS_MAX, "one per added or removed device and per changed field")

#define PH_FIELDS_fence_ask(F, T)                                                                  \
    F(T, NAME, node, none, PH_OPT, 0, 63, "only of this node; empty: of all")

#define PH_FIELDS_fence_view(F, T)                                                                 \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the node that it switches off")                         \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the device")                                            \
    F(T, INT, level, none, PH_REQ, 0, PH_FENCE_LEVELS_MAX, "levels are tried in ascending order")  \
    F(T, TEXT, agent, none, PH_REQ, 1, 63, "the fence agent")                                      \
    F(T, TEXTS, options, none, PH_REQ, 0, PH_FENCE_OPTIONS_MAX, "key=value for the agent")         \
    F(T, TEXTS, option_files, none, PH_REQ, 0, PH_FENCE_OPTIONS_MAX, "key=/path of the file with the value") \
    F(T, TEXTS, run_from, none, PH_REQ, 0, PH_FENCE_PLACES_MAX, "where the agent can be run, best first") \
    F(T, INT, delay_ms, none, PH_REQ, 0, 600000, "from the silence to the first call")             \
    F(T, INT, timeout_ms, none, PH_REQ, 0, 600000, "limit of one call")                            \
    F(T, INT, attempts, none, PH_REQ, 0, 10, "calls of a round")                                   \
    F(T, ENUM, power, power_state, PH_REQ, 0, 0, "what its last status said")                      \
    F(T, INT, checked_at, none, PH_REQ, 0, INT64_MAX, "when that was; 0: never")                   \
    F(T, NAME, checked_from, none, PH_OPT, 0, 63, "where the agent was run")                       \
    F(T, INT, failures, none, PH_REQ, 0, INT32_MAX, "calls in a row that gave no status")          \
    F(T, TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "what the last call said")              \
    F(T, NAME, usable_from, none, PH_OPT, 0, 63, "where it would be run now; empty: nowhere")      \
    F(T, BOOL, busy, none, PH_REQ, 0, 0, "a call is under way")

#define PH_FIELDS_fence_shown(F, T)                                                                \
    F(T, MANY, devices, fence_view, PH_REQ, 0, PH_LIST_ITEMS_MAX, "by node, then by level, then as declared")

/* -- one call of an agent: to the manager's own runner, or to a node that reaches the device -- */
#define PH_FIELDS_fence_run(F, T)                                                                  \
    F(T, INT, number, none, PH_REQ, 1, INT64_MAX, "ascending within the term; the answer repeats it") \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, INT, beat, none, PH_OPT, 0, INT64_MAX, "number of the newest beat or hello heard of the node that is asked: it refuses what is older than a lease") \
    F(T, NAME, node, none, PH_REQ, 1, 63, "the node that is switched off")                         \
    F(T, NAME, device, none, PH_REQ, 1, 63, "the device")                                          \
    F(T, TEXT, agent, none, PH_REQ, 1, 63, "the fence agent")                                      \
    F(T, TEXTS, options, none, PH_OPT, 0, PH_FENCE_OPTIONS_MAX, "key=value")                       \
    F(T, TEXTS, option_files, none, PH_OPT, 0, PH_FENCE_OPTIONS_MAX, "key=/path")                  \
    F(T, ENUM, action, fence_action, PH_REQ, 0, 0, "what to do")                                   \
    F(T, INT, timeout_ms, none, PH_REQ, 1, 600000, "limit of one call")

#define PH_FIELDS_fence_ran(F, T)                                                                  \
    F(T, INT, number, none, PH_REQ, 1, INT64_MAX, "as asked")                                      \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "as asked")                                        \
    F(T, NAME, node, none, PH_REQ, 1, 63, "as asked")                                              \
    F(T, NAME, device, none, PH_REQ, 1, 63, "as asked")                                            \
    F(T, ENUM, action, fence_action, PH_REQ, 0, 0, "as asked")                                     \
    F(T, ENUM, power, power_state, PH_REQ, 0, 0, "what a separate status said in the end")         \
    F(T, INT, took_ms, none, PH_OPT, 0, INT64_MAX, "how long it took")                             \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what the agent said, without secrets")

#define PH_FENCING_RECORDS(R)                                                                      \
    R(fence_spec) R(fence_node) R(fencing_declaration) R(fence_device) R(fence_apply)              \
    R(fence_change) R(fence_applied) R(fence_ask) R(fence_view) R(fence_shown) R(fence_run)        \
    R(fence_ran)

#define PH_FENCING_MESSAGES(M)                                                                     \
    M(PH_MSG_FENCE_APPLY, "fence.apply", fence_apply, PH_ROLE_ADMIN, PH_MESSAGE_BYTES_MAX, "-> fence.applied") \
    M(PH_MSG_FENCE_LIST, "fence.list", fence_ask, PH_ROLE_VIEWER, 4096, "-> fence.shown")          \
    M(PH_MSG_FENCE_TEST, "fence.test", fence_ask, PH_ROLE_OPERATOR, 4096, "asks for the status alone -> done") \
    M(PH_MSG_FENCE_ON, "fence.on", named, PH_ROLE_ADMIN, 4096, "switch a node on again -> done")   \
    M(PH_MSG_FENCE_APPLIED, "fence.applied", fence_applied, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_FENCE_SHOWN, "fence.shown", fence_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_FENCE_RUN, "fence.run", fence_run, PH_ROLE_NONE, 1048576, "the manager asks a node to run a fence agent") \
    M(PH_MSG_FENCE_RAN, "fence.ran", fence_ran, PH_ROLE_AGENT, 8192, "the node answers")

#endif
