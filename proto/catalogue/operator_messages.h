/*
 * Catalogue: what operators ask and what they get. The answers' records are the --json contract.
 * `X_view` is what is shown of record X: live values beside stored ones, no secrets.
 */
#ifndef PH_CATALOGUE_OPERATOR_MESSAGES_H
#define PH_CATALOGUE_OPERATOR_MESSAGES_H

/* -- asked -- */
#define PH_FIELDS_nothing(F, T)                                                                    \
    F(T, INT, unused, none, PH_OPT, 0, 0, "a request without arguments")

#define PH_FIELDS_named(F, T)                                                                      \
    F(T, NAME, name, none, PH_REQ, 1, 63, "the node, pool or identity meant")

#define PH_FIELDS_numbered(F, T)                                                                   \
    F(T, INT, id, none, PH_REQ, 1, INT64_MAX, "the job meant")

#define PH_FIELDS_invite(F, T)                                                                     \
    F(T, NAME, name, none, PH_REQ, 1, 63, "node or person to be enrolled")                         \
    F(T, ENUM, role, role, PH_REQ, 0, 0, "what it will be allowed")                                \
    F(T, INT, valid_s, none, PH_OPT, 0, 2592000, "seconds the invitation is good for; 0: a day")

#define PH_FIELDS_drain(F, T)                                                                      \
    F(T, NAME, node, none, PH_REQ, 1, 63, "the node to empty")                                     \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")                         \
    F(T, INT, max_parallel, none, PH_OPT, 0, 1000, "moves at a time; 0: 4")                        \
    F(T, INT, deadline_s, none, PH_OPT, 0, 604800, "give up (and leave the rest) after; 0: never")

#define PH_FIELDS_fence(F, T)                                                                      \
    F(T, NAME, node, none, PH_REQ, 1, 63, "the node")                                              \
    F(T, NAME, confirm_dead, none, PH_OPT, 0, 63, "the node's name again: the operator swears it is off") \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")                         \
    F(T, BOOL, reboot, none, PH_OPT, 0, 0, "once it is proven off, switch it on again")

#define PH_FIELDS_pool_move(F, T)                                                                  \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, NAME, target, none, PH_OPT, 0, 63, "the node; empty: the best one")                       \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")

#define PH_FIELDS_pool_start(F, T)                                                                 \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, BOOL, accept_data_loss, none, PH_OPT, 0, 0, "start from the freshest copy whatever its age") \
    F(T, BOOL, retry, none, PH_OPT, 0, 0, "forget earlier failures")

#define PH_FIELDS_pool_remove(F, T)                                                                \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, BOOL, destroy_data, none, PH_OPT, 0, 0, "also delete its data everywhere; else it stays on disk") \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")

#define PH_FIELDS_vm_named(F, T)                                                                   \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, NAME, vm, none, PH_REQ, 1, 63, "the VM in it")

#define PH_FIELDS_vm_operate(F, T)                                                                 \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, NAME, vm, none, PH_REQ, 1, 63, "the VM in it")                                            \
    F(T, ENUM, operation, vm_operation, PH_REQ, 0, 0, "what is to be done")                        \
    F(T, NAME, item, none, PH_OPT, 0, 63, "the snapshot, where it is about one")                   \
    F(T, TEXT, request_id, none, PH_OPT, 0, 64, "any text: asked again under it, the answer is the same job")

/* One pool as declared: pool.apply carries these; the fields and limits are the declaration's. */
#define PH_FIELDS_vm_spec(F, T)                                                                    \
    F(T, NAME, name, none, PH_REQ, 1, 63, "its name, unique in the pool")                          \
    F(T, NAME, kind, none, PH_REQ, 1, 63, "workload driver: process, qemu, container or ocf")                              \
    F(T, TEXTS, command, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "argv")                                \
    F(T, TEXTS, environment, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "NAME=value")                      \
    F(T, ENUM, restart, restart_policy, PH_OPT, 0, 0, "always, on-failure, never")                 \
    F(T, NAME, stop_signal, none, PH_OPT, 0, 63, "term, int, quit, hup, usr1, usr2")               \
    F(T, INT, stop_timeout_ms, none, PH_OPT, 0, 86400000, "from the signal to SIGKILL")            \
    F(T, ONE, qemu, qemu, PH_OPT, 0, 0, "of kind qemu: the machine")                               \
    F(T, TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value, for people and queries")       \
    F(T, ONE, container, container, PH_OPT, 0, 0, "of kind container: what it runs in")            \
    F(T, ONE, ocf, resource, PH_OPT, 0, 0, "of kind ocf: the resource")                    \
    F(T, INT, start_delay_ms, none, PH_OPT, 0, 600000, "from when it runs to the start of the next one of its pool")

#define PH_FIELDS_pool_spec(F, T)                                                                  \
    F(T, NAME, name, none, PH_REQ, 1, 63, "the pool's name")                                       \
    F(T, NAME, driver, none, PH_REQ, 1, 63, "directory, btrfs, image, shared, ocf") \
    F(T, ENUM, desired, pool_desired, PH_OPT, 0, 0, "active or inactive")                          \
    F(T, INT, priority, none, PH_OPT, -1000000, 1000000, "higher goes first")                      \
    F(T, INT, copies, none, PH_OPT, 0, PH_COPIES_MAX, "copies kept on other nodes")                \
    F(T, INT, cpu, none, PH_OPT, 0, 1000000, "size.cpu, in thousandths of a processor")            \
    F(T, INT, memory_mib, none, PH_OPT, 0, 1000000000, "size.memory_mib")                          \
    F(T, INT, disk_mib, none, PH_OPT, 0, 1000000000, "size.disk_mib")                              \
    F(T, INT, sync_interval_s, none, PH_OPT, 0, 86400, "seconds between copies; 0: only when moved") \
    F(T, INT, max_data_loss_s, none, PH_OPT, 0, INT32_MAX, "0: no limit")                          \
    F(T, ENUM, failback, failback, PH_OPT, 0, 0, "no, yes, at")                                    \
    F(T, TEXT, failback_at, none, PH_OPT, 0, 5, "HH:MM")                                           \
    F(T, TEXTS, allow, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes.allow")                           \
    F(T, TEXTS, prefer, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes.prefer")                         \
    F(T, TEXTS, together, none, PH_OPT, 0, PH_RELATIONS_MAX, "together_with")                      \
    F(T, TEXTS, apart, none, PH_OPT, 0, PH_RELATIONS_MAX, "apart_from")                            \
    F(T, MANY, vms, vm_spec, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "its VMs in start order")             \
    F(T, ONE, image, image_settings, PH_OPT, 0, 0, "of the driver image")                          \
    F(T, ONE, shared, shared_settings, PH_OPT, 0, 0, "of the driver shared")                       \
    F(T, ONE, ocf, ocf_settings, PH_OPT, 0, 0, "of the driver ocf")                                \
    F(T, INT, verify_interval_s, none, PH_OPT, 0, 31536000, "seconds between full comparisons of each copy; 0: when asked") \
    F(T, INT, bandwidth_kib_s, none, PH_OPT, 0, 1000000000, "limit of its copies together; 0: none")

#define PH_FIELDS_apply(F, T)                                                                      \
    F(T, MANY, pools, pool_spec, PH_OPT, 0, PH_POOLS_MAX, "the declarations")                      \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would change")                          \
    F(T, BOOL, prune, none, PH_OPT, 0, 0, "pools not named here are removed (their data stays)")

#define PH_FIELDS_query(F, T)                                                                      \
    F(T, TEXT, sql, none, PH_REQ, 1, PH_SQL_BYTES_MAX, "one SELECT over the views")                \
    F(T, INT, as_of, none, PH_OPT, 0, INT64_MAX, "wall clock ms; 0: now")                          \
    F(T, INT, timeout_ms, none, PH_OPT, 0, PH_QUERY_TIMEOUT_MS, "0: the most allowed")             \
    F(T, INT, rows_max, none, PH_OPT, 0, PH_QUERY_ROWS_MAX, "0: the most allowed")

#define PH_FIELDS_events_ask(F, T)                                                                 \
    F(T, INT, after, none, PH_OPT, 0, INT64_MAX, "only events with a greater id")                  \
    F(T, INT, limit, none, PH_OPT, 0, 10000, "the newest so many; 0: 100")                         \
    F(T, NAME, pool, none, PH_OPT, 0, 63, "only of this pool")                                     \
    F(T, NAME, node, none, PH_OPT, 0, 63, "only of this node")                                     \
    F(T, INT, job, none, PH_OPT, 0, INT64_MAX, "only of this job")

#define PH_FIELDS_jobs_ask(F, T)                                                                   \
    F(T, BOOL, all, none, PH_OPT, 0, 0, "ended ones too")                                          \
    F(T, INT, parent, none, PH_OPT, 0, INT64_MAX, "only of this drain")

/* -- answered -- */
#define PH_FIELDS_problem(F, T)                                                                    \
    F(T, TEXT, code, none, PH_REQ, 1, 32, "bad_input, not_allowed, not_found, state_forbids, unreached, failed") \
    F(T, TEXT, message, none, PH_REQ, 1, PH_TEXT_BYTES_MAX, "a sentence")                          \
    F(T, TEXT, field, none, PH_OPT, 0, 128, "the field to blame, if one is")

#define PH_FIELDS_done(F, T)                                                                       \
    F(T, INT, job, none, PH_OPT, 0, INT64_MAX, "the job that does it; 0: done already")            \
    F(T, TEXT, message, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what was or will be done")

#define PH_FIELDS_invited(F, T)                                                                    \
    F(T, TEXT, secret, none, PH_REQ, 1, 128, "for the invitation; shown once")                     \
    F(T, INT, expires, none, PH_REQ, 0, INT64_MAX, "when it ends, wall clock ms")                  \
    F(T, TEXT, token, none, PH_OPT, 0, PH_TOKEN_BYTES_MAX, "the invitation as one word (the shell adds it)")

#define PH_FIELDS_planned_move(F, T)                                                               \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, NAME, from, none, PH_OPT, 0, 63, "from this node")                                        \
    F(T, NAME, to, none, PH_OPT, 0, 63, "to this one; empty: nowhere, see reason")                 \
    F(T, INT, priority, none, PH_OPT, -1000000, 1000000, "of the pool")                            \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why there, or why nowhere")

#define PH_FIELDS_plan(F, T)                                                                       \
    F(T, INT, job, none, PH_OPT, 0, INT64_MAX, "the job that carries it out; 0: dry run")          \
    F(T, BOOL, complete, none, PH_OPT, 0, 0, "every pool has a place to go")                       \
    F(T, MANY, moves, planned_move, PH_OPT, 0, PH_POOLS_MAX, "in the order they would be done")    \
    F(T, TEXT, paused, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why there is no automatic action now; absent: there is")

#define PH_FIELDS_change(F, T)                                                                     \
    F(T, TEXT, action, none, PH_REQ, 1, 16, "add, change, remove, keep")                           \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, TEXT, field, none, PH_OPT, 0, 128, "of a change: which field")                            \
    F(T, TEXT, before, none, PH_OPT, 0, 65536, "of a change: the old value as JSON")               \
    F(T, TEXT, after, none, PH_OPT, 0, 65536, "of a change: the new value as JSON")

#define PH_FIELDS_applied(F, T)                                                                    \
    F(T, BOOL, dry_run, none, PH_OPT, 0, 0, "nothing was changed")                                 \
    F(T, INT, added, none, PH_OPT, 0, INT64_MAX, "pools")                                          \
    F(T, INT, changed, none, PH_OPT, 0, INT64_MAX, "pools")                                        \
    F(T, INT, removed, none, PH_OPT, 0, INT64_MAX, "pools")                                        \
    F(T, INT, unchanged, none, PH_OPT, 0, INT64_MAX, "pools")                                      \
    F(T, MANY, changes, change, PH_OPT, 0, PH_LIST_ITEMS_MAX, "one per added or removed pool and per changed field")

#define PH_FIELDS_node_view(F, T)                                                                  \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the node")                                              \
    F(T, ENUM, state, node_state, PH_REQ, 0, 0, "what is known of it")                             \
    F(T, ENUM, admin, node_admin, PH_REQ, 0, 0, "what operators want of it")                       \
    F(T, INT, pools, none, PH_REQ, 0, INT64_MAX, "pools assigned to it")                           \
    F(T, INT, copies, none, PH_REQ, 0, INT64_MAX, "copies it keeps")                               \
    F(T, INT, lease_left_ms, none, PH_REQ, 0, INT64_MAX, "of the last grant, as far as the manager knows") \
    F(T, INT, last_seen_ms, none, PH_REQ, -1, INT64_MAX, "since its last message; -1: not since the manager started") \
    F(T, INT, generation, none, PH_REQ, 0, INT64_MAX, "of its admission")                          \
    F(T, TEXTS, labels, none, PH_REQ, 0, PH_LABELS_MAX, "key=value")                               \
    F(T, TEXTS, drivers, none, PH_REQ, 0, 64, "that work there")                                   \
    F(T, TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "of its data channel")                \
    F(T, TEXT, version, none, PH_OPT, 0, 64, "of its agent")                                       \
    F(T, INT, cpu, none, PH_REQ, 0, 1000000, "offered, in thousandths")                            \
    F(T, INT, cpu_used, none, PH_REQ, 0, INT64_MAX, "by its pools")                                \
    F(T, INT, memory_mib, none, PH_REQ, 0, INT64_MAX, "offered")                                   \
    F(T, INT, memory_used_mib, none, PH_REQ, 0, INT64_MAX, "by its pools")                         \
    F(T, INT, disk_mib, none, PH_REQ, 0, INT64_MAX, "offered")                                     \
    F(T, INT, disk_used_mib, none, PH_REQ, 0, INT64_MAX, "by its pools and copies")                \
    F(T, INT, failures, none, PH_REQ, 0, 1000000, "times lost, decaying")                          \
    F(T, INT, job, none, PH_REQ, 0, INT64_MAX, "the drain under way, or 0")                        \
    F(T, INT, since, none, PH_REQ, 0, INT64_MAX, "of state or admin")                              \
    F(T, TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is in this state")              \
    F(T, INT, watchdog_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "time-out of the watchdog its guard feeds; 0: none") \
    F(T, ENUM, kills_by, kill_means, PH_OPT, 0, 0, "how its pools are killed")                     \
    F(T, TEXT, guard_note, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what its guard lacks of what is configured") \
    F(T, INT, takeover_ms, none, PH_OPT, 0, INT64_MAX, "the wait after its last grant")            \
    F(T, TEXT, held, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why time alone would not free its pools; empty: it would") \
    F(T, TEXTS, witnesses, none, PH_OPT, 0, PH_WITNESSES_MAX, "who extend its lease while the manager is silent") \
    F(T, INT, survives, none, PH_OPT, -1, PH_WITNESSES_MAX, "of these so many may fail besides the manager; -1: not even the manager") \
    F(T, TEXT, fencing, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "its fence devices, and what each said last; empty: it has none") \
    F(T, TEXTS, drivers_missing, none, PH_OPT, 0, 64, "those that do not work there, each with why and what would help")

#define PH_FIELDS_copy_view(F, T)                                                                  \
    F(T, NAME, node, none, PH_KEY, 1, 63, "where")                                                 \
    F(T, ENUM, state, replica_state, PH_REQ, 0, 0, "whether it can be used")                       \
    F(T, INT, age_ms, none, PH_REQ, -1, INT64_MAX, "of its data; -1: no complete copy")            \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "it came from")                                   \
    F(T, INT, sequence, none, PH_REQ, 0, INT64_MAX, "under that epoch")                            \
    F(T, INT, bytes, none, PH_REQ, 0, INT64_MAX, "its size")                                       \
    F(T, INT, progress, none, PH_REQ, 0, 100, "of the copy under way")                             \
    F(T, TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "the last error")                       \
    F(T, INT, verified_at, none, PH_OPT, 0, INT64_MAX, "when all of it was last compared with the pool; 0: never") \
    F(T, INT, spoilt, none, PH_OPT, 0, INT64_MAX, "what was not what it should be then, and was made anew") \
    F(T, INT, sent_bytes, none, PH_OPT, 0, INT64_MAX, "of the copy under way, so far")             \
    F(T, INT, kib_s, none, PH_OPT, 0, INT64_MAX, "its rate")

#define PH_FIELDS_diverged_view(F, T)                                                              \
    F(T, NAME, node, none, PH_KEY, 1, 63, "where")                                                 \
    F(T, TEXT, name, none, PH_KEY, 1, 128, "of its directory below DIR/pools")                     \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "under which it was written")                     \
    F(T, INT, since, none, PH_REQ, 0, INT64_MAX, "when it was set aside")                          \
    F(T, INT, expires_at, none, PH_REQ, 0, INT64_MAX, "when it is removed, after an event has said so; 0: never") \
    F(T, BOOL, dropping, none, PH_OPT, 0, 0, "its node is told to remove it")

#define PH_FIELDS_diverged_ask(F, T)                                                               \
    F(T, NAME, node, none, PH_REQ, 1, 63, "where it is")                                           \
    F(T, TEXT, name, none, PH_REQ, 1, 128, "of its directory: POOL.diverged-eN")

#define PH_FIELDS_diverged_shown(F, T)                                                             \
    F(T, MANY, items, diverged_view, PH_REQ, 0, PH_LIST_ITEMS_MAX, "in order of node, then name")

#define PH_FIELDS_vm_view(F, T)                                                                    \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the VM")                                                \
    F(T, NAME, kind, none, PH_REQ, 1, 63, "workload driver")                                       \
    F(T, ENUM, state, vm_state, PH_REQ, 0, 0, "as its node saw it")                                \
    F(T, INT, pid, none, PH_REQ, 0, INT32_MAX, "on its node")                                      \
    F(T, INT, restarts, none, PH_REQ, 0, INT64_MAX, "under this epoch")                            \
    F(T, TEXTS, command, none, PH_REQ, 0, PH_ARGUMENTS_MAX, "argv as declared")                    \
    F(T, TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is in this state")              \
    F(T, TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value")                               \
    F(T, TEXT, guest, none, PH_OPT, 0, 64, "what the guest does, in QEMU's words")                 \
    F(T, TEXT, accelerator, none, PH_OPT, 0, 200, "kvm or tcg, and why not kvm")                   \
    F(T, TEXTS, addresses, none, PH_OPT, 0, 64, "of its network cards")                            \
    F(T, INT, memory_used_mib, none, PH_OPT, 0, INT64_MAX, "of the node's memory")                 \
    F(T, INT, disk_used_mib, none, PH_OPT, 0, INT64_MAX, "of the pool, by its disks")              \
    F(T, TEXT, vnc, none, PH_OPT, 0, 128, "address and port of its screen")                        \
    F(T, BOOL, halted, none, PH_OPT, 0, 0, "an operator stopped it: it stays so until vm start")   \
    F(T, NAME, pool, none, PH_OPT, 0, 63, "its pool")                                              \
    F(T, NAME, node, none, PH_OPT, 0, 63, "the node its pool is assigned to, or empty")

#define PH_FIELDS_pool_view(F, T)                                                                  \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the pool")                                              \
    F(T, ENUM, state, pool_state, PH_REQ, 0, 0, "where it stands")                                 \
    F(T, ENUM, desired, pool_desired, PH_REQ, 0, 0, "what operators want")                         \
    F(T, NAME, node, none, PH_OPT, 0, 63, "its node, or empty")                                    \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "of its assignment")                              \
    F(T, NAME, driver, none, PH_REQ, 1, 63, "pool driver")                                         \
    F(T, INT, priority, none, PH_REQ, -1000000, 1000000, "higher goes first")                      \
    F(T, INT, copies_wanted, none, PH_REQ, 0, PH_COPIES_MAX, "as declared")                        \
    F(T, MANY, copies, copy_view, PH_REQ, 0, PH_NODES_MAX, "on other nodes")                       \
    F(T, INT, vms_running, none, PH_REQ, 0, PH_VMS_PER_POOL_MAX, "as its node saw them")           \
    F(T, INT, vms_declared, none, PH_REQ, 0, PH_VMS_PER_POOL_MAX, "as declared")                   \
    F(T, MANY, vms, vm_view, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "pool.show only")                     \
    F(T, ONE, declared, pool_spec, PH_OPT, 0, 0, "pool.show only")                                 \
    F(T, INT, job, none, PH_REQ, 0, INT64_MAX, "the job at work on it, or 0")                      \
    F(T, INT, since, none, PH_REQ, 0, INT64_MAX, "of state or node")                               \
    F(T, TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is in this state")              \
    F(T, INT, lag_ms, none, PH_OPT, -1, INT64_MAX, "age of its freshest copy; -1: none is complete, or none is wanted") \
    F(T, BOOL, behind, none, PH_OPT, 0, 0, "that is more than its max_data_loss_s")                \
    F(T, TEXT, copy_error, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "last error of its copies that stands, and where; empty: none") \
    F(T, MANY, diverged, diverged_view, PH_OPT, 0, PH_LIST_ITEMS_MAX, "pool.show only: data of former owners that was set aside")

#define PH_FIELDS_candidate(F, T)                                                                  \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the node")                                              \
    F(T, BOOL, possible, none, PH_REQ, 0, 0, "no rule forbids it")                                 \
    F(T, BOOL, chosen, none, PH_REQ, 0, 0, "it is there, or would be put there")                   \
    F(T, INT, score, none, PH_REQ, INT64_MIN, INT64_MAX, "higher is better; only of possible ones") \
    F(T, TEXTS, reasons, none, PH_REQ, 0, 64, "each rule that forbids it, or what its score is made of")

#define PH_FIELDS_explanation(F, T)                                                                \
    F(T, NAME, pool, none, PH_KEY, 1, 63, "the pool")                                              \
    F(T, NAME, node, none, PH_OPT, 0, 63, "where it is")                                           \
    F(T, ENUM, state, pool_state, PH_REQ, 0, 0, "where it stands")                                 \
    F(T, TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is where it is")                \
    F(T, MANY, candidates, candidate, PH_REQ, 0, PH_NODES_MAX, "every node, and why or why not")   \
    F(T, TEXT, paused, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why there is no automatic action now; absent: there is")

#define PH_FIELDS_finding(F, T)                                                                    \
    F(T, TEXT, guarantee, none, PH_REQ, 1, 64, "a word for the guarantee")                         \
    F(T, BOOL, holds, none, PH_REQ, 0, 0, "whether it holds here")                                 \
    F(T, TEXT, message, none, PH_REQ, 1, PH_TEXT_BYTES_MAX, "what holds, or what breaks it")       \
    F(T, TEXT, remedy, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what would make it hold")

#define PH_FIELDS_identity_view(F, T)                                                              \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the identity")                                          \
    F(T, ENUM, role, role, PH_REQ, 0, 0, "what it may do")                                         \
    F(T, BOOL, enrolled, none, PH_REQ, 0, 0, "a key is bound to it")                               \
    F(T, BOOL, revoked, none, PH_REQ, 0, 0, "refused")                                             \
    F(T, INT, token_expires_at, none, PH_OPT, 0, INT64_MAX, "of an open invitation")               \
    F(T, INT, created_at, none, PH_REQ, 0, INT64_MAX, "when it was invited")

#define PH_FIELDS_nodes_shown(F, T)                                                                \
    F(T, MANY, nodes, node_view, PH_REQ, 0, PH_NODES_MAX, "in order of name")                      \
    F(T, TEXT, paused, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why there is no automatic action now; absent: there is")
#define PH_FIELDS_pools_shown(F, T)                                                                \
    F(T, MANY, pools, pool_view, PH_REQ, 0, PH_POOLS_MAX, "in order of name")                      \
    F(T, TEXT, paused, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why there is no automatic action now; absent: there is")
#define PH_FIELDS_vms_shown(F, T)                                                                  \
    F(T, MANY, vms, vm_view, PH_REQ, 0, PH_LIST_ITEMS_MAX, "in order of pool and position")
#define PH_FIELDS_jobs_shown(F, T)                                                                 \
    F(T, MANY, jobs, job, PH_REQ, 0, PH_LIST_ITEMS_MAX, "in order of id")                          \
    F(T, TEXT, paused, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why there is no automatic action now; absent: there is")
#define PH_FIELDS_events_shown(F, T)                                                               \
    F(T, MANY, events, event, PH_REQ, 0, 10000, "in order of id")
#define PH_FIELDS_identities_shown(F, T)                                                           \
    F(T, MANY, identities, identity_view, PH_REQ, 0, PH_LIST_ITEMS_MAX, "in order of name")
#define PH_FIELDS_findings_shown(F, T)                                                             \
    F(T, MANY, findings, finding, PH_REQ, 0, 1000, "what does not hold first")

#define PH_FIELDS_status_shown(F, T)                                                               \
    F(T, TEXT, cluster, none, PH_REQ, 1, 64, "the cluster's id")                                   \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, version, none, PH_OPT, 0, 64, "the manager's version (the shell adds it)")          \
    F(T, INT, uptime_ms, none, PH_REQ, 0, INT64_MAX, "since the manager started")                  \
    F(T, BOOL, paused, none, PH_REQ, 0, 0, "no automatic action, and why: reason")                 \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "of a pause")                           \
    F(T, INT, beat_ms, none, PH_REQ, 0, INT64_MAX, "in force")                                     \
    F(T, INT, lease_ms, none, PH_REQ, 0, INT64_MAX, "in force")                                    \
    F(T, INT, stop_ms, none, PH_REQ, 0, INT64_MAX, "in force")                                     \
    F(T, INT, takeover_ms, none, PH_REQ, 0, INT64_MAX, "wait after a node's last grant: k*(lease+stop)") \
    F(T, MANY, nodes, node_view, PH_REQ, 0, PH_NODES_MAX, "in order of name")                      \
    F(T, MANY, pools, pool_view, PH_REQ, 0, PH_POOLS_MAX, "in order of name")                      \
    F(T, MANY, jobs, job, PH_REQ, 0, PH_LIST_ITEMS_MAX, "those under way")

/* What happened in and around one job. Times are by the wall clock, the order by id. */
#define PH_FIELDS_story_step(F, T)                                                                 \
    F(T, INT, after_ms, none, PH_REQ, -INT64_MAX, INT64_MAX, "since the story's begin")            \
    F(T, ONE, event, event, PH_REQ, 0, 0, "what happened")
#define PH_FIELDS_story(F, T)                                                                      \
    F(T, ONE, job, job, PH_REQ, 0, 0, "the job it is about")                                       \
    F(T, INT, began_at, none, PH_REQ, 0, INT64_MAX, "T+0: the silent node's last sign of life, else the first step") \
    F(T, BOOL, whole, none, PH_REQ, 0, 0, "false: the newest steps are left out, there are too many") \
    F(T, MANY, steps, story_step, PH_REQ, 0, PH_STORY_STEPS_MAX, "in order of id")                 \
    F(T, MANY, jobs, job, PH_REQ, 0, PH_STORY_JOBS_MAX, "moves of a drain, take-overs after a fence run")

/* Rows of a query follow in a second frame, as the text of a JSON array of objects; `more` says that
 * another such message comes. */
#define PH_FIELDS_rows(F, T)                                                                       \
    F(T, TEXTS, columns, none, PH_REQ, 0, 2000, "names, in order")                                 \
    F(T, INT, count, none, PH_REQ, 0, INT64_MAX, "rows in this message")                           \
    F(T, BOOL, more, none, PH_REQ, 0, 0, "another message follows")

#define PH_OPERATOR_RECORDS(R)                                                                     \
    R(nothing) R(named) R(numbered) R(invite) R(drain) R(fence) R(pool_move) R(pool_start)         \
    R(pool_remove) R(vm_spec) R(pool_spec) R(apply) R(query) R(events_ask) R(jobs_ask) R(problem)  \
    R(done) R(invited) R(planned_move) R(plan) R(change) R(applied) R(node_view) R(copy_view)      \
    R(vm_view) R(diverged_view) R(pool_view) R(candidate) R(explanation) R(finding) R(identity_view) R(nodes_shown) \
    R(pools_shown) R(jobs_shown) R(events_shown) R(identities_shown) R(findings_shown)             \
    R(status_shown) R(rows) R(vm_named) R(vm_operate) R(vms_shown) R(story_step) R(story)          \
    R(diverged_ask) R(diverged_shown)

#define PH_OPERATOR_MESSAGES(M)                                                                    \
    M(PH_MSG_STATUS, "status", nothing, PH_ROLE_VIEWER, 4096, "-> status.shown")                   \
    M(PH_MSG_NODE_LIST, "node.list", nothing, PH_ROLE_VIEWER, 4096, "-> nodes.shown")              \
    M(PH_MSG_NODE_SHOW, "node.show", named, PH_ROLE_VIEWER, 4096, "-> nodes.shown with one node")  \
    M(PH_MSG_INVITE, "invite", invite, PH_ROLE_ADMIN, 4096, "-> invited")                          \
    M(PH_MSG_DRAIN, "node.drain", drain, PH_ROLE_OPERATOR, 4096, "-> plan")                        \
    M(PH_MSG_RESUME, "node.resume", named, PH_ROLE_OPERATOR, 4096, "-> done")                      \
    M(PH_MSG_FENCE, "node.fence", fence, PH_ROLE_ADMIN, 4096, "-> done")                           \
    M(PH_MSG_RETIRE, "node.retire", named, PH_ROLE_ADMIN, 4096, "-> done")                         \
    M(PH_MSG_APPLY, "pool.apply", apply, PH_ROLE_OPERATOR, PH_MESSAGE_BYTES_MAX, "-> applied")     \
    M(PH_MSG_POOL_LIST, "pool.list", nothing, PH_ROLE_VIEWER, 4096, "-> pools.shown")              \
    M(PH_MSG_POOL_SHOW, "pool.show", named, PH_ROLE_VIEWER, 4096, "-> pools.shown with one pool")  \
    M(PH_MSG_POOL_MOVE, "pool.move", pool_move, PH_ROLE_OPERATOR, 4096, "-> plan")                 \
    M(PH_MSG_POOL_START, "pool.start", pool_start, PH_ROLE_OPERATOR, 4096, "-> done")              \
    M(PH_MSG_POOL_STOP, "pool.stop", named, PH_ROLE_OPERATOR, 4096, "-> done")                     \
    M(PH_MSG_POOL_REMOVE, "pool.remove", pool_remove, PH_ROLE_OPERATOR, 4096, "-> done")           \
    M(PH_MSG_POOL_EXPLAIN, "pool.explain", named, PH_ROLE_VIEWER, 4096, "-> explanation")          \
    M(PH_MSG_VM_LIST, "vm.list", nothing, PH_ROLE_VIEWER, 4096, "-> vms.shown")                    \
    M(PH_MSG_VM_SHOW, "vm.show", vm_named, PH_ROLE_VIEWER, 4096, "-> vms.shown with one VM")       \
    M(PH_MSG_VM_START, "vm.start", vm_named, PH_ROLE_OPERATOR, 4096, "-> done")                    \
    M(PH_MSG_VM_STOP, "vm.stop", vm_named, PH_ROLE_OPERATOR, 4096, "-> done")                      \
    M(PH_MSG_VM_OPERATE, "vm.operate", vm_operate, PH_ROLE_OPERATOR, 4096, "do it once -> done, with the job") \
    M(PH_MSG_VMS_SHOWN, "vms.shown", vms_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer")   \
    M(PH_MSG_JOB_LIST, "job.list", jobs_ask, PH_ROLE_VIEWER, 4096, "-> jobs.shown")                \
    M(PH_MSG_JOB_SHOW, "job.show", numbered, PH_ROLE_VIEWER, 4096, "-> jobs.shown with one job")   \
    M(PH_MSG_JOB_CANCEL, "job.cancel", numbered, PH_ROLE_OPERATOR, 4096, "-> done")                \
    M(PH_MSG_EVENTS, "events", events_ask, PH_ROLE_VIEWER, 4096, "-> events.shown")                \
    M(PH_MSG_DOCTOR, "doctor", nothing, PH_ROLE_VIEWER, 4096, "-> findings.shown")                 \
    M(PH_MSG_QUERY, "query", query, PH_ROLE_VIEWER, 131072, "-> rows, one or more")                \
    M(PH_MSG_IDENTITY_LIST, "identity.list", nothing, PH_ROLE_ADMIN, 4096, "-> identities.shown")  \
    M(PH_MSG_IDENTITY_REVOKE, "identity.revoke", named, PH_ROLE_ADMIN, 4096, "-> done")            \
    M(PH_MSG_PAUSE, "cluster.pause", nothing, PH_ROLE_OPERATOR, 4096, "no automatic action -> done") \
    M(PH_MSG_UNPAUSE, "cluster.resume", nothing, PH_ROLE_OPERATOR, 4096, "-> done")                \
    M(PH_MSG_PROBLEM, "problem", problem, PH_ROLE_NONE, 65536, "the answer is no, and why")        \
    M(PH_MSG_DONE, "done", done, PH_ROLE_NONE, 65536, "an answer")                                 \
    M(PH_MSG_INVITED, "invited", invited, PH_ROLE_NONE, 65536, "an answer")                        \
    M(PH_MSG_PLAN, "plan", plan, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer")                  \
    M(PH_MSG_APPLIED, "applied", applied, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer")         \
    M(PH_MSG_EXPLANATION, "explanation", explanation, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_NODES_SHOWN, "nodes.shown", nodes_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_POOLS_SHOWN, "pools.shown", pools_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_JOBS_SHOWN, "jobs.shown", jobs_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_EVENTS_SHOWN, "events.shown", events_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_IDENTITIES_SHOWN, "identities.shown", identities_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_FINDINGS_SHOWN, "findings.shown", findings_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_STATUS_SHOWN, "status.shown", status_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_ROWS, "rows", rows, PH_ROLE_NONE, 65536, "an answer, with rows in a second frame")    \
    M(PH_MSG_STORY, "events.story", numbered, PH_ROLE_VIEWER, 4096, "the story of a job -> story.shown") \
    M(PH_MSG_POOL_VERIFY, "pool.verify", named, PH_ROLE_OPERATOR, 4096, "compare its copies with it -> done") \
    M(PH_MSG_DIVERGED_SHOW, "diverged.show", nothing, PH_ROLE_VIEWER, 4096, "data that was set aside -> diverged.shown") \
    M(PH_MSG_DIVERGED_SHOWN, "diverged.shown", diverged_shown, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer") \
    M(PH_MSG_DIVERGED_REMOVE, "diverged.remove", diverged_ask, PH_ROLE_OPERATOR, 4096, "remove it for ever -> done") \
    M(PH_MSG_STORY_SHOWN, "story.shown", story, PH_ROLE_NONE, PH_MESSAGE_BYTES_MAX, "an answer")

#endif
