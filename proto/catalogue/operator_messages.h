/*
 * Catalogue: what operators ask and what they get. The answers' records are the --json contract.
 * `X_view` is what is shown of record X: live values beside stored ones, no secrets.
 */
#ifndef PH_CATALOGUE_OPERATOR_MESSAGES_H
#define PH_CATALOGUE_OPERATOR_MESSAGES_H

/* -- asked -- */
#define PH_FIELDS_nothing(F)                                                                       \
    F(INT, unused, none, PH_OPT, 0, 0, "a request without arguments")

#define PH_FIELDS_named(F)                                                                         \
    F(NAME, name, none, PH_REQ, 1, 63, "the node, pool or identity meant")

#define PH_FIELDS_numbered(F)                                                                      \
    F(INT, id, none, PH_REQ, 1, INT64_MAX, "the job meant")

#define PH_FIELDS_invite(F)                                                                        \
    F(NAME, name, none, PH_REQ, 1, 63, "node or person to be enrolled")                            \
    F(ENUM, role, role, PH_REQ, 0, 0, "what it will be allowed")                                   \
    F(INT, valid_s, none, PH_OPT, 0, 2592000, "seconds the invitation is good for; 0: a day")

#define PH_FIELDS_drain(F)                                                                         \
    F(NAME, node, none, PH_REQ, 1, 63, "the node to empty")                                        \
    F(BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")                            \
    F(INT, max_parallel, none, PH_OPT, 0, 1000, "moves at a time; 0: 4")                           \
    F(INT, deadline_s, none, PH_OPT, 0, 604800, "give up (and leave the rest) after; 0: never")

#define PH_FIELDS_fence(F)                                                                         \
    F(NAME, node, none, PH_REQ, 1, 63, "the node")                                                 \
    F(NAME, confirm_dead, none, PH_OPT, 0, 63, "the node's name again: the operator swears it is off") \
    F(BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")

#define PH_FIELDS_pool_move(F)                                                                     \
    F(NAME, pool, none, PH_REQ, 1, 63, "the pool")                                                 \
    F(NAME, target, none, PH_OPT, 0, 63, "the node; empty: the best one")                          \
    F(BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")

#define PH_FIELDS_pool_start(F)                                                                    \
    F(NAME, pool, none, PH_REQ, 1, 63, "the pool")                                                 \
    F(BOOL, accept_data_loss, none, PH_OPT, 0, 0, "start from the freshest copy whatever its age") \
    F(BOOL, retry, none, PH_OPT, 0, 0, "forget earlier failures")

#define PH_FIELDS_pool_remove(F)                                                                   \
    F(NAME, pool, none, PH_REQ, 1, 63, "the pool")                                                 \
    F(BOOL, destroy_data, none, PH_OPT, 0, 0, "also delete its data everywhere; else it stays on disk") \
    F(BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would be done")

/* One pool as declared: pool.apply carries these; the fields and limits are the declaration's. */
#define PH_FIELDS_vm_spec(F)                                                                       \
    F(NAME, name, none, PH_REQ, 1, 63, "its name, unique in the pool")                             \
    F(NAME, kind, none, PH_REQ, 1, 63, "workload driver: process")                                 \
    F(TEXTS, command, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "argv")                                   \
    F(TEXTS, environment, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "NAME=value")                         \
    F(ENUM, restart, restart_policy, PH_OPT, 0, 0, "always, on-failure, never")                    \
    F(NAME, stop_signal, none, PH_OPT, 0, 63, "term, int, quit, hup, usr1, usr2")                  \
    F(INT, stop_timeout_ms, none, PH_OPT, 0, 86400000, "from the signal to SIGKILL")

#define PH_FIELDS_pool_spec(F)                                                                     \
    F(NAME, name, none, PH_REQ, 1, 63, "the pool's name")                                          \
    F(NAME, driver, none, PH_REQ, 1, 63, "directory, btrfs")                                       \
    F(ENUM, desired, pool_desired, PH_OPT, 0, 0, "active or inactive")                             \
    F(INT, priority, none, PH_OPT, -1000000, 1000000, "higher goes first")                         \
    F(INT, copies, none, PH_OPT, 0, PH_COPIES_MAX, "copies kept on other nodes")                   \
    F(INT, cpu, none, PH_OPT, 0, 1000000, "size.cpu, in thousandths of a processor")               \
    F(INT, memory_mib, none, PH_OPT, 0, 1000000000, "size.memory_mib")                             \
    F(INT, disk_mib, none, PH_OPT, 0, 1000000000, "size.disk_mib")                                 \
    F(INT, sync_interval_s, none, PH_OPT, 0, 86400, "seconds between copies; 0: only when moved")  \
    F(INT, max_data_loss_s, none, PH_OPT, 0, INT32_MAX, "0: no limit")                             \
    F(ENUM, failback, failback, PH_OPT, 0, 0, "no, yes, at")                                       \
    F(TEXT, failback_at, none, PH_OPT, 0, 5, "HH:MM")                                              \
    F(TEXTS, allow, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes.allow")                              \
    F(TEXTS, prefer, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes.prefer")                            \
    F(TEXTS, together, none, PH_OPT, 0, PH_RELATIONS_MAX, "together_with")                         \
    F(TEXTS, apart, none, PH_OPT, 0, PH_RELATIONS_MAX, "apart_from")                               \
    F(MANY, vms, vm_spec, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "its VMs in start order")

#define PH_FIELDS_apply(F)                                                                         \
    F(MANY, pools, pool_spec, PH_OPT, 0, PH_POOLS_MAX, "the declarations")                         \
    F(BOOL, dry_run, none, PH_OPT, 0, 0, "only say what would change")                             \
    F(BOOL, prune, none, PH_OPT, 0, 0, "pools not named here are removed (their data stays)")

#define PH_FIELDS_query(F)                                                                         \
    F(TEXT, sql, none, PH_REQ, 1, PH_SQL_BYTES_MAX, "one SELECT over the views")                   \
    F(INT, as_of, none, PH_OPT, 0, INT64_MAX, "wall clock ms; 0: now")                             \
    F(INT, timeout_ms, none, PH_OPT, 0, PH_QUERY_TIMEOUT_MS, "0: the most allowed")                \
    F(INT, rows_max, none, PH_OPT, 0, PH_QUERY_ROWS_MAX, "0: the most allowed")

#define PH_FIELDS_events_ask(F)                                                                    \
    F(INT, after, none, PH_OPT, 0, INT64_MAX, "only events with a greater id")                     \
    F(INT, limit, none, PH_OPT, 0, 10000, "the newest so many; 0: 100")                            \
    F(NAME, pool, none, PH_OPT, 0, 63, "only of this pool")                                        \
    F(NAME, node, none, PH_OPT, 0, 63, "only of this node")                                        \
    F(INT, job, none, PH_OPT, 0, INT64_MAX, "only of this job")

#define PH_FIELDS_jobs_ask(F)                                                                      \
    F(BOOL, all, none, PH_OPT, 0, 0, "ended ones too")                                             \
    F(INT, parent, none, PH_OPT, 0, INT64_MAX, "only of this drain")

/* -- answered -- */
#define PH_FIELDS_problem(F)                                                                       \
    F(TEXT, code, none, PH_REQ, 1, 32, "bad_input, not_allowed, not_found, state_forbids, unreached, failed") \
    F(TEXT, message, none, PH_REQ, 1, PH_TEXT_BYTES_MAX, "a sentence")                             \
    F(TEXT, field, none, PH_OPT, 0, 128, "the field to blame, if one is")

#define PH_FIELDS_done(F)                                                                          \
    F(INT, job, none, PH_OPT, 0, INT64_MAX, "the job that does it; 0: done already")               \
    F(TEXT, message, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what was or will be done")

#define PH_FIELDS_invited(F)                                                                       \
    F(TEXT, secret, none, PH_REQ, 1, 128, "for the invitation; shown once")                        \
    F(INT, expires, none, PH_REQ, 0, INT64_MAX, "when it ends, wall clock ms")                     \
    F(TEXT, token, none, PH_OPT, 0, PH_TOKEN_BYTES_MAX, "the invitation as one word (the shell adds it)")

#define PH_FIELDS_planned_move(F)                                                                  \
    F(NAME, pool, none, PH_REQ, 1, 63, "the pool")                                                 \
    F(NAME, from, none, PH_OPT, 0, 63, "from this node")                                           \
    F(NAME, to, none, PH_OPT, 0, 63, "to this one; empty: nowhere, see reason")                    \
    F(INT, priority, none, PH_OPT, -1000000, 1000000, "of the pool")                               \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why there, or why nowhere")

#define PH_FIELDS_plan(F)                                                                          \
    F(INT, job, none, PH_OPT, 0, INT64_MAX, "the job that carries it out; 0: dry run")             \
    F(BOOL, complete, none, PH_OPT, 0, 0, "every pool has a place to go")                          \
    F(MANY, moves, planned_move, PH_OPT, 0, PH_POOLS_MAX, "in the order they would be done")

#define PH_FIELDS_change(F)                                                                        \
    F(TEXT, action, none, PH_REQ, 1, 16, "add, change, remove, keep")                              \
    F(NAME, pool, none, PH_REQ, 1, 63, "the pool")                                                 \
    F(TEXT, field, none, PH_OPT, 0, 128, "of a change: which field")                               \
    F(TEXT, before, none, PH_OPT, 0, 65536, "of a change: the old value as JSON")                  \
    F(TEXT, after, none, PH_OPT, 0, 65536, "of a change: the new value as JSON")

#define PH_FIELDS_applied(F)                                                                       \
    F(BOOL, dry_run, none, PH_OPT, 0, 0, "nothing was changed")                                    \
    F(INT, added, none, PH_OPT, 0, INT64_MAX, "pools")                                             \
    F(INT, changed, none, PH_OPT, 0, INT64_MAX, "pools")                                           \
    F(INT, removed, none, PH_OPT, 0, INT64_MAX, "pools")                                           \
    F(INT, unchanged, none, PH_OPT, 0, INT64_MAX, "pools")                                         \
    F(MANY, changes, change, PH_OPT, 0, PH_LIST_ITEMS_MAX, "one per added or removed pool and per changed field")

#define PH_FIELDS_node_view(F)                                                                     \
    F(NAME, name, none, PH_KEY, 1, 63, "the node")                                                 \
    F(ENUM, state, node_state, PH_REQ, 0, 0, "what is known of it")                                \
    F(ENUM, admin, node_admin, PH_REQ, 0, 0, "what operators want of it")                          \
    F(INT, pools, none, PH_REQ, 0, INT64_MAX, "pools assigned to it")                              \
    F(INT, copies, none, PH_REQ, 0, INT64_MAX, "copies it keeps")                                  \
    F(INT, lease_left_ms, none, PH_REQ, 0, INT64_MAX, "of the last grant, as far as the manager knows") \
    F(INT, last_seen_ms, none, PH_REQ, -1, INT64_MAX, "since its last message; -1: not since the manager started") \
    F(INT, generation, none, PH_REQ, 0, INT64_MAX, "of its admission")                             \
    F(TEXTS, labels, none, PH_REQ, 0, PH_LABELS_MAX, "key=value")                                  \
    F(TEXTS, drivers, none, PH_REQ, 0, 64, "that work there")                                      \
    F(TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "of its data channel")                   \
    F(TEXT, version, none, PH_OPT, 0, 64, "of its agent")                                          \
    F(INT, cpu, none, PH_REQ, 0, 1000000, "offered, in thousandths")                               \
    F(INT, cpu_used, none, PH_REQ, 0, INT64_MAX, "by its pools")                                   \
    F(INT, memory_mib, none, PH_REQ, 0, INT64_MAX, "offered")                                      \
    F(INT, memory_used_mib, none, PH_REQ, 0, INT64_MAX, "by its pools")                            \
    F(INT, disk_mib, none, PH_REQ, 0, INT64_MAX, "offered")                                        \
    F(INT, disk_used_mib, none, PH_REQ, 0, INT64_MAX, "by its pools and copies")                   \
    F(INT, failures, none, PH_REQ, 0, 1000000, "times lost, decaying")                             \
    F(INT, job, none, PH_REQ, 0, INT64_MAX, "the drain under way, or 0")                           \
    F(INT, since, none, PH_REQ, 0, INT64_MAX, "of state or admin")                                 \
    F(TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is in this state")

#define PH_FIELDS_copy_view(F)                                                                     \
    F(NAME, node, none, PH_KEY, 1, 63, "where")                                                    \
    F(ENUM, state, replica_state, PH_REQ, 0, 0, "whether it can be used")                          \
    F(INT, age_ms, none, PH_REQ, -1, INT64_MAX, "of its data; -1: no complete copy")               \
    F(INT, epoch, none, PH_REQ, 0, INT64_MAX, "it came from")                                      \
    F(INT, sequence, none, PH_REQ, 0, INT64_MAX, "under that epoch")                               \
    F(INT, bytes, none, PH_REQ, 0, INT64_MAX, "its size")                                          \
    F(INT, progress, none, PH_REQ, 0, 100, "of the copy under way")                                \
    F(TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "the last error")

#define PH_FIELDS_vm_view(F)                                                                       \
    F(NAME, name, none, PH_KEY, 1, 63, "the VM")                                                   \
    F(NAME, kind, none, PH_REQ, 1, 63, "workload driver")                                          \
    F(ENUM, state, vm_state, PH_REQ, 0, 0, "as its node saw it")                                   \
    F(INT, pid, none, PH_REQ, 0, INT32_MAX, "on its node")                                         \
    F(INT, restarts, none, PH_REQ, 0, INT64_MAX, "under this epoch")                               \
    F(TEXTS, command, none, PH_REQ, 0, PH_ARGUMENTS_MAX, "argv as declared")                       \
    F(TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is in this state")

#define PH_FIELDS_pool_view(F)                                                                     \
    F(NAME, name, none, PH_KEY, 1, 63, "the pool")                                                 \
    F(ENUM, state, pool_state, PH_REQ, 0, 0, "where it stands")                                    \
    F(ENUM, desired, pool_desired, PH_REQ, 0, 0, "what operators want")                            \
    F(NAME, node, none, PH_OPT, 0, 63, "its node, or empty")                                       \
    F(INT, epoch, none, PH_REQ, 0, INT64_MAX, "of its assignment")                                 \
    F(NAME, driver, none, PH_REQ, 1, 63, "pool driver")                                            \
    F(INT, priority, none, PH_REQ, -1000000, 1000000, "higher goes first")                         \
    F(INT, copies_wanted, none, PH_REQ, 0, PH_COPIES_MAX, "as declared")                           \
    F(MANY, copies, copy_view, PH_REQ, 0, PH_NODES_MAX, "on other nodes")                          \
    F(INT, vms_running, none, PH_REQ, 0, PH_VMS_PER_POOL_MAX, "as its node saw them")              \
    F(INT, vms_declared, none, PH_REQ, 0, PH_VMS_PER_POOL_MAX, "as declared")                      \
    F(MANY, vms, vm_view, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "pool.show only")                        \
    F(ONE, declared, pool_spec, PH_OPT, 0, 0, "pool.show only")                                    \
    F(INT, job, none, PH_REQ, 0, INT64_MAX, "the job at work on it, or 0")                         \
    F(INT, since, none, PH_REQ, 0, INT64_MAX, "of state or node")                                  \
    F(TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is in this state")

#define PH_FIELDS_candidate(F)                                                                     \
    F(NAME, node, none, PH_KEY, 1, 63, "the node")                                                 \
    F(BOOL, possible, none, PH_REQ, 0, 0, "no rule forbids it")                                    \
    F(BOOL, chosen, none, PH_REQ, 0, 0, "it is there, or would be put there")                      \
    F(INT, score, none, PH_REQ, INT64_MIN, INT64_MAX, "higher is better; only of possible ones")   \
    F(TEXTS, reasons, none, PH_REQ, 0, 64, "each rule that forbids it, or what its score is made of")

#define PH_FIELDS_explanation(F)                                                                   \
    F(NAME, pool, none, PH_KEY, 1, 63, "the pool")                                                 \
    F(NAME, node, none, PH_OPT, 0, 63, "where it is")                                              \
    F(ENUM, state, pool_state, PH_REQ, 0, 0, "where it stands")                                    \
    F(TEXT, reason, none, PH_REQ, 0, PH_TEXT_BYTES_MAX, "why it is where it is")                   \
    F(MANY, candidates, candidate, PH_REQ, 0, PH_NODES_MAX, "every node, and why or why not")

#define PH_FIELDS_finding(F)                                                                       \
    F(TEXT, guarantee, none, PH_REQ, 1, 64, "a word for the guarantee")                            \
    F(BOOL, holds, none, PH_REQ, 0, 0, "whether it holds here")                                    \
    F(TEXT, message, none, PH_REQ, 1, PH_TEXT_BYTES_MAX, "what holds, or what breaks it")          \
    F(TEXT, remedy, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what would make it hold")

#define PH_FIELDS_identity_view(F)                                                                 \
    F(NAME, name, none, PH_KEY, 1, 63, "the identity")                                             \
    F(ENUM, role, role, PH_REQ, 0, 0, "what it may do")                                            \
    F(BOOL, enrolled, none, PH_REQ, 0, 0, "a key is bound to it")                                  \
    F(BOOL, revoked, none, PH_REQ, 0, 0, "refused")                                                \
    F(INT, token_expires_at, none, PH_OPT, 0, INT64_MAX, "of an open invitation")                  \
    F(INT, created_at, none, PH_REQ, 0, INT64_MAX, "when it was invited")

#define PH_FIELDS_nodes_shown(F)                                                                   \
    F(MANY, nodes, node_view, PH_REQ, 0, PH_NODES_MAX, "in order of name")
#define PH_FIELDS_pools_shown(F)                                                                   \
    F(MANY, pools, pool_view, PH_REQ, 0, PH_POOLS_MAX, "in order of name")
#define PH_FIELDS_jobs_shown(F)                                                                    \
    F(MANY, jobs, job, PH_REQ, 0, PH_LIST_ITEMS_MAX, "in order of id")
#define PH_FIELDS_events_shown(F)                                                                  \
    F(MANY, events, event, PH_REQ, 0, 10000, "in order of id")
#define PH_FIELDS_identities_shown(F)                                                              \
    F(MANY, identities, identity_view, PH_REQ, 0, PH_LIST_ITEMS_MAX, "in order of name")
#define PH_FIELDS_findings_shown(F)                                                                \
    F(MANY, findings, finding, PH_REQ, 0, 1000, "what does not hold first")

#define PH_FIELDS_status_shown(F)                                                                  \
    F(TEXT, cluster, none, PH_REQ, 1, 64, "the cluster's id")                                      \
    F(TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                                  \
    F(INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                                 \
    F(TEXT, version, none, PH_OPT, 0, 64, "the manager's version (the shell adds it)")             \
    F(INT, uptime_ms, none, PH_REQ, 0, INT64_MAX, "since the manager started")                     \
    F(BOOL, paused, none, PH_REQ, 0, 0, "no automatic action, and why: reason")                    \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "of a pause")                              \
    F(INT, beat_ms, none, PH_REQ, 0, INT64_MAX, "in force")                                        \
    F(INT, lease_ms, none, PH_REQ, 0, INT64_MAX, "in force")                                       \
    F(INT, stop_ms, none, PH_REQ, 0, INT64_MAX, "in force")                                        \
    F(INT, takeover_ms, none, PH_REQ, 0, INT64_MAX, "wait after a node's last grant: k*(lease+stop)") \
    F(MANY, nodes, node_view, PH_REQ, 0, PH_NODES_MAX, "in order of name")                         \
    F(MANY, pools, pool_view, PH_REQ, 0, PH_POOLS_MAX, "in order of name")                         \
    F(MANY, jobs, job, PH_REQ, 0, PH_LIST_ITEMS_MAX, "those under way")

/* Rows of a query follow in a second frame, as the text of a JSON array of objects; `more` says that
 * another such message comes. */
#define PH_FIELDS_rows(F)                                                                          \
    F(TEXTS, columns, none, PH_REQ, 0, 2000, "names, in order")                                    \
    F(INT, count, none, PH_REQ, 0, INT64_MAX, "rows in this message")                              \
    F(BOOL, more, none, PH_REQ, 0, 0, "another message follows")

#define PH_OPERATOR_RECORDS(R)                                                                     \
    R(nothing) R(named) R(numbered) R(invite) R(drain) R(fence) R(pool_move) R(pool_start)         \
    R(pool_remove) R(vm_spec) R(pool_spec) R(apply) R(query) R(events_ask) R(jobs_ask) R(problem)  \
    R(done) R(invited) R(planned_move) R(plan) R(change) R(applied) R(node_view) R(copy_view)      \
    R(vm_view) R(pool_view) R(candidate) R(explanation) R(finding) R(identity_view) R(nodes_shown) \
    R(pools_shown) R(jobs_shown) R(events_shown) R(identities_shown) R(findings_shown)             \
    R(status_shown) R(rows)

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
    M(PH_MSG_ROWS, "rows", rows, PH_ROLE_NONE, 65536, "an answer, with rows in a second frame")

#endif
