/*
 * Catalogue: the records of the inventory. A field F(T, KIND, member, ref, flags, min, max, doc) is
 * explained in proto/record.h. Table names are these names with an s. Times end in _at and are wall
 * clock milliseconds since 1970 for people; nothing is ever decided from them except ages of data.
 */
#ifndef PH_CATALOGUE_RECORDS_H
#define PH_CATALOGUE_RECORDS_H

#define PH_FIELDS_node(F, T)                                                                       \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the node's name")                                       \
    F(T, ENUM, state, node_state, PH_OPT, 0, 0, "what is known of it")                             \
    F(T, ENUM, admin, node_admin, PH_OPT, 0, 0, "what operators want of it")                       \
    F(T, INT, generation, none, PH_OPT, 0, INT64_MAX, "grows at each admission")                   \
    F(T, BOOL, granting, none, PH_OPT, 0, 0, "whether beats of this generation are granted")       \
    F(T, TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "where its data channel listens")     \
    F(T, TEXT, public_key, none, PH_OPT, 0, PH_KEY_BYTES, "its CURVE key, Z85")                    \
    F(T, TEXT, version, none, PH_OPT, 0, 64, "the agent's version")                                \
    F(T, TEXT, boot_id, none, PH_OPT, 0, 64, "the machine's boot id as last heard")                \
    F(T, TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value, from the agent's configuration") \
    F(T, TEXTS, drivers, none, PH_OPT, 0, 64, "pool and workload drivers that work there")         \
    F(T, INT, cpu, none, PH_OPT, 0, 1000000, "processors it offers, in thousandths")               \
    F(T, INT, memory_mib, none, PH_OPT, 0, INT64_MAX, "memory it offers")                          \
    F(T, INT, disk_mib, none, PH_OPT, 0, INT64_MAX, "disk it offers")                              \
    F(T, INT, failures, none, PH_OPT, 0, 1000000, "times lost, decaying")                          \
    F(T, INT, quarantined_until, none, PH_OPT, 0, INT64_MAX, "when a quarantine ends")             \
    F(T, INT, since, none, PH_OPT, 0, INT64_MAX, "when state or admin last changed")               \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why it is in this state")              \
    F(T, INT, watchdog_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "time-out of the watchdog its guard feeds; 0: none") \
    F(T, ENUM, kills_by, kill_means, PH_OPT, 0, 0, "how its pools are killed")                     \
    F(T, TEXT, guard_note, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what its guard lacks of what is configured") \
    F(T, BOOL, stuck, none, PH_OPT, 0, 0, "it said of a pool that something cannot be stopped") \
    F(T, TEXTS, drivers_missing, none, PH_OPT, 0, 64, "those that do not work there, each with why and what would help")

#define PH_FIELDS_pool(F, T)                                                                       \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the pool's name")                                       \
    F(T, NAME, driver, none, PH_OPT, 0, 63, "pool driver: directory, btrfs, ...")                  \
    F(T, ENUM, state, pool_state, PH_OPT, 0, 0, "where it stands")                                 \
    F(T, ENUM, desired, pool_desired, PH_OPT, 0, 0, "what operators want of it")                   \
    F(T, NAME, node, none, PH_OPT, 0, 63, "the node it is assigned to, or empty")                  \
    F(T, INT, epoch, none, PH_OPT, 0, INT64_MAX, "grows at each assignment: the fencing token")    \
    F(T, BOOL, created, none, PH_OPT, 0, 0, "whether it was ever active, so that data exists")     \
    F(T, NAME, home, none, PH_OPT, 0, 63, "the node with the newest data while unassigned")        \
    F(T, INT, priority, none, PH_OPT, -1000000, 1000000, "higher goes first")                      \
    F(T, INT, copies, none, PH_OPT, 0, PH_COPIES_MAX, "copies kept on other nodes")                \
    F(T, INT, cpu, none, PH_OPT, 0, 1000000, "processors it needs, in thousandths")                \
    F(T, INT, memory_mib, none, PH_OPT, 0, INT64_MAX, "memory it needs")                           \
    F(T, INT, disk_mib, none, PH_OPT, 0, INT64_MAX, "disk it needs, on each copy's node too")      \
    F(T, INT, sync_interval_s, none, PH_OPT, 0, 86400, "seconds between copies; 0: only when moved") \
    F(T, INT, max_data_loss_s, none, PH_OPT, 0, INT32_MAX, "a take-over from an older copy waits for an operator; 0: no limit") \
    F(T, ENUM, failback, failback, PH_OPT, 0, 0, "whether it moves back")                          \
    F(T, TEXT, failback_at, none, PH_OPT, 0, 5, "HH:MM for failback at")                           \
    F(T, TEXTS, allow, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes by name or key=value label; empty: all") \
    F(T, TEXTS, prefer, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes by name or label, best first")   \
    F(T, TEXTS, together, none, PH_OPT, 0, PH_RELATIONS_MAX, "pools that shall be on the same node") \
    F(T, TEXTS, apart, none, PH_OPT, 0, PH_RELATIONS_MAX, "pools that must be on another node")    \
    F(T, INT, revision, none, PH_OPT, 0, INT64_MAX, "grows when the declaration changes")          \
    F(T, INT, since, none, PH_OPT, 0, INT64_MAX, "when state or node last changed")                \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why it is in this state")              \
    F(T, JSON, settings, none, PH_OPT, 0, PH_SETTINGS_BYTES_MAX, "of its driver: a pool_settings record")

#define PH_FIELDS_vm(F, T)                                                                         \
    F(T, NAME, pool, none, PH_KEY, 1, 63, "the pool it lives in")                                  \
    F(T, NAME, name, none, PH_KEY, 1, 63, "its name, unique in the pool")                          \
    F(T, INT, position, none, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "start order; stop order is the reverse") \
    F(T, NAME, kind, none, PH_OPT, 0, 63, "workload driver: process, qemu, container, ocf")                         \
    F(T, TEXTS, command, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "argv; {pool_path}, {pool}, {node}, {epoch}, {vm} are filled in") \
    F(T, TEXTS, environment, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "NAME=value, beside the POOLHERD_ ones") \
    F(T, ENUM, restart, restart_policy, PH_OPT, 0, 0, "what to do when it ends")                   \
    F(T, NAME, stop_signal, none, PH_OPT, 0, 63, "term, int, quit, hup, usr1, usr2; empty: term")  \
    F(T, INT, stop_timeout_ms, none, PH_OPT, 0, 86400000, "from the signal to SIGKILL; 0: 10000")  \
    F(T, ENUM, state, vm_state, PH_OPT, 0, 0, "observed by its node")                              \
    F(T, INT, pid, none, PH_OPT, 0, INT32_MAX, "observed")                                         \
    F(T, INT, restarts, none, PH_OPT, 0, INT64_MAX, "observed, under this epoch")                  \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why it is in this state")              \
    F(T, JSON, qemu, none, PH_OPT, 0, PH_VM_SETTINGS_BYTES_MAX, "settings of kind qemu")           \
    F(T, TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value, for people and queries")       \
    F(T, TEXT, guest, none, PH_OPT, 0, 64, "observed: what the guest does, in QEMU's words: running, paused, io-error, ...") \
    F(T, TEXT, accelerator, none, PH_OPT, 0, 200, "observed: kvm or tcg, and why not kvm")         \
    F(T, TEXTS, addresses, none, PH_OPT, 0, 64, "observed: of its network cards, as the guest agent says") \
    F(T, INT, memory_used_mib, none, PH_OPT, 0, INT64_MAX, "observed: of the node's memory")       \
    F(T, INT, disk_used_mib, none, PH_OPT, 0, INT64_MAX, "observed: of the pool, by its disks")    \
    F(T, TEXT, vnc, none, PH_OPT, 0, 128, "observed: address and port of its screen")              \
    F(T, BOOL, halted, none, PH_OPT, 0, 0, "an operator stopped it: it stays so until vm start, wherever its pool is") \
    F(T, JSON, container, none, PH_OPT, 0, PH_VM_SETTINGS_BYTES_MAX, "settings of kind container")  \
    F(T, JSON, ocf, none, PH_OPT, 0, PH_VM_SETTINGS_BYTES_MAX, "settings of kind ocf")                  \
    F(T, INT, start_delay_ms, none, PH_OPT, 0, 600000, "from when it runs to the start of the next one of its pool")

#define PH_FIELDS_replica(F, T)                                                                    \
    F(T, NAME, pool, none, PH_KEY, 1, 63, "the pool")                                              \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the node that keeps the copy")                          \
    F(T, ENUM, state, replica_state, PH_OPT, 0, 0, "whether it can be used")                       \
    F(T, INT, epoch, none, PH_OPT, 0, INT64_MAX, "epoch of the owner it came from")                \
    F(T, INT, sequence, none, PH_OPT, 0, INT64_MAX, "number of the copy under that epoch")         \
    F(T, INT, as_of, none, PH_OPT, 0, INT64_MAX, "the moment whose data it holds")                 \
    F(T, INT, bytes, none, PH_OPT, 0, INT64_MAX, "its size")                                       \
    F(T, TEXT, hash, none, PH_OPT, 0, 128, "of its content, when it was taken")                    \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "the last error, if any")               \
    F(T, INT, verified_at, none, PH_OPT, 0, INT64_MAX, "when all of it was last compared with the pool; 0: never") \
    F(T, INT, spoilt, none, PH_OPT, 0, INT64_MAX, "files, blocks or snapshots that were not what they should be then, and were made anew")

#define PH_FIELDS_job(F, T)                                                                        \
    F(T, INT, id, none, PH_KEY, 1, INT64_MAX, "number, ascending")                                 \
    F(T, ENUM, kind, job_kind, PH_OPT, 0, 0, "what it does")                                       \
    F(T, ENUM, state, job_state, PH_OPT, 0, 0, "where it stands")                                  \
    F(T, ENUM, phase, job_phase, PH_OPT, 0, 0, "the step it is in")                                \
    F(T, INT, progress, none, PH_OPT, 0, 100, "per cent")                                          \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why it ended or what went wrong last") \
    F(T, TEXT, waiting_on, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what it waits for now")            \
    F(T, NAME, pool, none, PH_OPT, 0, 63, "the pool it is about")                                  \
    F(T, NAME, node, none, PH_OPT, 0, 63, "the node it is about, or moves away from")              \
    F(T, NAME, target, none, PH_OPT, 0, 63, "the node it moves to")                                \
    F(T, INT, parent, none, PH_OPT, 0, INT64_MAX, "the drain it belongs to, or 0")                 \
    F(T, INT, max_parallel, none, PH_OPT, 0, 1000, "of a drain")                                   \
    F(T, INT, deadline_at, none, PH_OPT, 0, INT64_MAX, "of a drain; 0: none")                      \
    F(T, ENUM, proof, proof, PH_OPT, 0, 0, "what allowed a take-over")                             \
    F(T, INT, data_loss_ms, none, PH_OPT, -1, INT64_MAX, "age of the copy a take-over used; -1: unknown") \
    F(T, INT, downtime_ms, none, PH_OPT, -1, INT64_MAX, "time without the pool; -1: unknown")      \
    F(T, BOOL, cancelling, none, PH_OPT, 0, 0, "an operator asked to cancel")                      \
    F(T, NAME, who, none, PH_OPT, 0, 63, "the identity that asked; empty: Poolherd itself")        \
    F(T, INT, created_at, none, PH_OPT, 0, INT64_MAX, "when it was asked for")                     \
    F(T, INT, started_at, none, PH_OPT, 0, INT64_MAX, "when it began; 0: not yet")                 \
    F(T, INT, ended_at, none, PH_OPT, 0, INT64_MAX, "when it ended; 0: not yet")                   \
    F(T, INT, silent_at, none, PH_OPT, 0, INT64_MAX, "of a take-over: when the node was last heard; 0: unknown") \
    F(T, INT, copy_epoch, none, PH_OPT, 0, INT64_MAX, "of a take-over: epoch of the copy it used; 0: none was needed") \
    F(T, INT, copy_sequence, none, PH_OPT, 0, INT64_MAX, "of a take-over: number of that copy")    \
    F(T, NAME, vm, none, PH_OPT, 0, 63, "of kind vm: the VM")                                      \
    F(T, ENUM, operation, vm_operation, PH_OPT, 0, 0, "of kind vm: what is done to it")            \
    F(T, NAME, item, none, PH_OPT, 0, 63, "of kind vm: the snapshot")                              \
    F(T, INT, epoch, none, PH_OPT, 0, INT64_MAX, "of kind vm: the pool's when it was sent; 0: not yet") \
    F(T, TEXT, request_id, none, PH_OPT, 0, 64, "what its asker calls it: asked again under it, it is not done again") \
    F(T, JSON, result, none, PH_OPT, 0, PH_OPERATION_RESULT_BYTES_MAX, "of kind vm: what it found")

#define PH_FIELDS_event(F, T)                                                                      \
    F(T, INT, id, none, PH_KEY, 1, INT64_MAX, "number, ascending")                                 \
    F(T, INT, at, none, PH_OPT, 0, INT64_MAX, "when")                                              \
    F(T, ENUM, level, event_level, PH_OPT, 0, 0, "how bad")                                        \
    F(T, NAME, kind, none, PH_OPT, 0, 63, "command, node-lost, pool-active, ...")                  \
    F(T, NAME, node, none, PH_OPT, 0, 63, "the node it is about")                                  \
    F(T, NAME, pool, none, PH_OPT, 0, 63, "the pool it is about")                                  \
    F(T, INT, job, none, PH_OPT, 0, INT64_MAX, "the job it belongs to, or 0")                      \
    F(T, INT, epoch, none, PH_OPT, 0, INT64_MAX, "the pool's epoch then")                          \
    F(T, INT, term, none, PH_OPT, 0, INT64_MAX, "the manager's term then")                         \
    F(T, NAME, who, none, PH_OPT, 0, 63, "the identity that asked")                                \
    F(T, TEXT, message, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "one sentence")

#define PH_FIELDS_identity(F, T)                                                                   \
    F(T, NAME, name, none, PH_KEY, 1, 63, "a node's name or a person's")                           \
    F(T, ENUM, role, role, PH_OPT, 0, 0, "what it may do")                                         \
    F(T, TEXT, public_key, none, PH_OPT, 0, PH_KEY_BYTES, "its CURVE key, Z85; empty until enrolled") \
    F(T, BOOL, revoked, none, PH_OPT, 0, 0, "refused at its next message")                         \
    F(T, TEXT, token_hash, none, PH_SECRET, 0, 128, "of the open invitation's secret")             \
    F(T, INT, token_expires_at, none, PH_OPT, 0, INT64_MAX, "end of the open invitation; 0: none") \
    F(T, INT, created_at, none, PH_OPT, 0, INT64_MAX, "when it was invited")

#define PH_FIELDS_meta(F, T)                                                                       \
    F(T, NAME, key, none, PH_KEY, 1, 63, "term, manager_id, ...")                                  \
    F(T, TEXT, value, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "as text")

/* Kept by an agent in its own small database: what the manager last ordered for one pool. */
#define PH_FIELDS_assignment(F, T)                                                                 \
    F(T, NAME, pool, none, PH_KEY, 1, 63, "the pool")                                              \
    F(T, INT, epoch, none, PH_OPT, 0, INT64_MAX, "highest epoch seen in an order")                 \
    F(T, INT, term, none, PH_OPT, 0, INT64_MAX, "of the order")                                    \
    F(T, INT, number, none, PH_OPT, 0, INT64_MAX, "of the order")                                  \
    F(T, ENUM, local, local_state, PH_OPT, 0, 0, "where it stood when last written")               \
    F(T, JSON, order, none, PH_OPT, 0, PH_MESSAGE_BYTES_MAX, "the order itself, as on the wire")

/* Kept by an agent: something that is done to a VM once. The number is its job's; a row is written before it
 * begins, and its outcome before anybody is told. */
#define PH_FIELDS_operation(F, T)                                                                  \
    F(T, INT, number, none, PH_KEY, 1, INT64_MAX, "of the job")                                    \
    F(T, NAME, pool, none, PH_OPT, 0, 63, "the pool")                                              \
    F(T, INT, epoch, none, PH_OPT, 0, INT64_MAX, "the pool's")                                     \
    F(T, NAME, vm, none, PH_OPT, 0, 63, "the VM")                                                  \
    F(T, ENUM, operation, vm_operation, PH_OPT, 0, 0, "what is done")                              \
    F(T, NAME, item, none, PH_OPT, 0, 63, "the snapshot")                                          \
    F(T, ENUM, state, operation_state, PH_OPT, 0, 0, "where it stands")                            \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "how it ended")                         \
    F(T, JSON, result, none, PH_OPT, 0, PH_OPERATION_RESULT_BYTES_MAX, "what it found")

/* Who may extend a node's lease while the manager is silent. */
#define PH_FIELDS_voter_set(F, T)                                                                  \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the node")                                              \
    F(T, INT, version, none, PH_OPT, 0, INT64_MAX, "grows with each change; promises are about versions") \
    F(T, TEXTS, witnesses, none, PH_OPT, 0, PH_WITNESSES_MAX, "the set but the node itself")       \
    F(T, TEXTS, before, none, PH_OPT, 0, PH_WITNESSES_MAX + 1, "the witnesses it may still go by, until it confirms the version")

/* Kept by an agent: another node that is its witness, or whose witness it is. */
#define PH_FIELDS_witness(F, T)                                                                    \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the other node")                                        \
    F(T, TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "where it listens for other agents")  \
    F(T, TEXT, public_key, none, PH_OPT, 0, PH_KEY_BYTES, "its CURVE key, Z85")                    \
    F(T, BOOL, asked, none, PH_OPT, 0, 0, "it is a witness of this node")                          \
    F(T, BOOL, served, none, PH_OPT, 0, 0, "this node is a witness of it")                         \
    F(T, INT, promised, none, PH_OPT, 0, INT64_MAX, "no vote for this version of its voter set or an older one")

#define PH_RECORDS(R)                                                                              \
    R(node) R(pool) R(vm) R(replica) R(job) R(event) R(identity) R(meta) R(assignment)             \
    R(operation) R(voter_set) R(witness)

#endif
