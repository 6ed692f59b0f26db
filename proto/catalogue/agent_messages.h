/*
 * Catalogue: what agents and the manager, and agents among each other, say. See proto/record.h for
 * the form, proto/message.h for the envelope. Durations end in _ms; `_ms` instants named boot_ms are
 * CLOCK_BOOTTIME of the machine that wrote them and mean nothing elsewhere.
 */
#ifndef PH_CATALOGUE_AGENT_MESSAGES_H
#define PH_CATALOGUE_AGENT_MESSAGES_H

#define PH_FIELDS_join(F, T)                                                                       \
    F(T, NAME, name, none, PH_REQ, 1, 63, "the name in the invitation")                            \
    F(T, TEXT, secret, none, PH_REQ | PH_SECRET, 1, 128, "the invitation's secret")

#define PH_FIELDS_joined(F, T)                                                                     \
    F(T, NAME, name, none, PH_REQ, 1, 63, "the identity now bound to the sender's key")            \
    F(T, ENUM, role, role, PH_REQ, 0, 0, "what it may do")                                         \
    F(T, TEXT, cluster, none, PH_REQ, 1, 64, "the cluster's id")

/* -- leases -- */
#define PH_FIELDS_beat(F, T)                                                                       \
    F(T, INT, number, none, PH_REQ, 0, INT64_MAX, "ascending within one agent process")            \
    F(T, INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "the node's clock when it sent this")           \
    F(T, INT, generation, none, PH_REQ, 0, INT64_MAX, "the admission it believes in; 0: none")     \
    F(T, INT, term, none, PH_REQ, 0, INT64_MAX, "highest manager term it has seen")                \
    F(T, TEXT, instance, none, PH_REQ, 1, 64, "random id of this agent process")

#define PH_FIELDS_grant(F, T)                                                                      \
    F(T, INT, number, none, PH_REQ, 0, INT64_MAX, "of the beat it answers")                        \
    F(T, INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "of the beat it answers: the lease counts from it") \
    F(T, INT, generation, none, PH_REQ, 0, INT64_MAX, "of the beat it answers")                    \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id, which belongs to the term")    \
    F(T, INT, lease_ms, none, PH_REQ, 1, PH_LEASE_MS_MAX, "the lease's length")

#define PH_FIELDS_unwelcome(F, T)                                                                  \
    F(T, INT, number, none, PH_OPT, 0, INT64_MAX, "of the beat or hello it answers")               \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, BOOL, say_hello, none, PH_OPT, 0, 0, "the node shall present itself anew")                \
    F(T, BOOL, duplicate, none, PH_OPT, 0, 0, "another agent with this identity is alive: end")    \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why")

/* -- what a node is and has -- */
#define PH_FIELDS_vm_report(F, T)                                                                  \
    F(T, NAME, name, none, PH_KEY, 1, 63, "the VM")                                                \
    F(T, ENUM, state, vm_state, PH_REQ, 0, 0, "as seen")                                           \
    F(T, INT, pid, none, PH_OPT, 0, INT32_MAX, "0: none")                                          \
    F(T, INT, restarts, none, PH_OPT, 0, INT64_MAX, "under this epoch")                            \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why")                                  \
    F(T, TEXT, guest, none, PH_OPT, 0, 64, "what the guest does, in QEMU's words")                 \
    F(T, TEXT, accelerator, none, PH_OPT, 0, 200, "kvm or tcg, and why not kvm")                   \
    F(T, TEXTS, addresses, none, PH_OPT, 0, 64, "of its network cards")                            \
    F(T, INT, memory_used_mib, none, PH_OPT, 0, INT64_MAX, "of the node's memory")                 \
    F(T, INT, disk_used_mib, none, PH_OPT, 0, INT64_MAX, "of the pool, by its disks")              \
    F(T, TEXT, vnc, none, PH_OPT, 0, 128, "address and port of its screen")

#define PH_FIELDS_report(F, T)                                                                     \
    F(T, NAME, pool, none, PH_KEY, 1, 63, "the pool")                                              \
    F(T, INT, number, none, PH_REQ, 1, INT64_MAX, "ascending per pool within one agent process")   \
    F(T, TEXT, instance, none, PH_OPT, 0, 64, "that process, as in its hello (there: empty): late words of a former one are void") \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "the epoch this speaks of")                       \
    F(T, INT, order_term, none, PH_OPT, 0, INT64_MAX, "of the newest order taken in")              \
    F(T, INT, order_number, none, PH_OPT, 0, INT64_MAX, "of the newest order taken in")            \
    F(T, ENUM, state, local_state, PH_REQ, 0, 0, "where it stands here")                           \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why, and the next step, when failed or stuck") \
    F(T, TEXT, step, none, PH_OPT, 0, 64, "the step under way, for waiting_on")                    \
    F(T, INT, data_epoch, none, PH_OPT, 0, INT64_MAX, "epoch stored with the data here; 0: no data") \
    F(T, INT, data_sequence, none, PH_OPT, 0, INT64_MAX, "sequence of the newest complete copy here") \
    F(T, MANY, vms, vm_report, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "its VMs, when it is active here")  \
    F(T, MANY, operations, operation, PH_OPT, 0, PH_OPERATIONS_MAX, "those of its order that began, with their outcome")

#define PH_FIELDS_report_ok(F, T)                                                                  \
    F(T, NAME, pool, none, PH_KEY, 1, 63, "the pool")                                              \
    F(T, NAME, node, none, PH_OPT, 0, 63, "of a copy report: its node; empty: of a pool report")   \
    F(T, INT, number, none, PH_REQ, 1, INT64_MAX, "of the report that is now durable")

#define PH_FIELDS_hello(F, T)                                                                      \
    F(T, TEXT, instance, none, PH_REQ, 1, 64, "random id of this agent process")                   \
    F(T, TEXT, previous, none, PH_OPT, 0, 64, "instance that last ran on this directory")          \
    F(T, INT, number, none, PH_OPT, 0, INT64_MAX, "ascending, in one count with its beats: a hello that was overtaken is void") \
    F(T, TEXT, boot_id, none, PH_OPT, 0, 64, "the machine's boot id")                              \
    F(T, TEXT, version, none, PH_OPT, 0, 64, "the agent's version")                                \
    F(T, TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "where its data channel listens")     \
    F(T, TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value")                               \
    F(T, TEXTS, drivers, none, PH_OPT, 0, 64, "drivers that work here")                            \
    F(T, INT, cpu, none, PH_OPT, 0, 1000000, "processors, in thousandths")                         \
    F(T, INT, memory_mib, none, PH_OPT, 0, INT64_MAX, "memory")                                    \
    F(T, INT, disk_mib, none, PH_OPT, 0, INT64_MAX, "disk")                                        \
    F(T, INT, generation, none, PH_OPT, 0, INT64_MAX, "the admission it holds; 0: none")           \
    F(T, INT, term, none, PH_OPT, 0, INT64_MAX, "highest manager term seen")                       \
    F(T, TEXT, manager, none, PH_OPT, 0, 64, "id that belonged to that term")                      \
    F(T, INT, lease_left_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "0: none, and nothing runs here")   \
    F(T, MANY, pools, report, PH_OPT, 0, PH_POOLS_MAX, "every pool with a trace here")             \
    F(T, INT, watchdog_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "time-out read back from the watchdog the guard feeds; 0: none") \
    F(T, ENUM, kills_by, kill_means, PH_OPT, 0, 0, "how pools are killed here")                    \
    F(T, TEXT, guard_note, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what the guard lacks of what is configured, for doctor") \
    F(T, INT, voters, none, PH_OPT, 0, PH_VERSION_MAX, "version of the voter set it goes by; 0: none") \
    F(T, TEXTS, drivers_missing, none, PH_OPT, 0, 64, "those that do not work here, each as NAME: and then with why and what would help")

#define PH_FIELDS_welcome(F, T)                                                                    \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, NAME, name, none, PH_REQ, 1, 63, "the node's name")                                       \
    F(T, INT, generation, none, PH_REQ, 1, INT64_MAX, "the admission now in force")                \
    F(T, TEXT, instance, none, PH_REQ, 1, 64, "of the hello it answers")                           \
    F(T, INT, beat_ms, none, PH_REQ, PH_BEAT_MS_MIN, PH_LEASE_MS_MAX, "how often to beat")         \
    F(T, INT, lease_ms, none, PH_REQ, 1, PH_LEASE_MS_MAX, "the lease's length")                    \
    F(T, INT, stop_ms, none, PH_REQ, 1, PH_LEASE_MS_MAX, "how long stopping may take at lease end")

#define PH_FIELDS_leaving(F, T)                                                                    \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why the agent wants to be drained")

/* -- orders -- */
#define PH_FIELDS_peer(F, T)                                                                       \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the other node")                                        \
    F(T, TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "its data channel")                   \
    F(T, TEXT, public_key, none, PH_OPT, 0, PH_KEY_BYTES, "its CURVE key")                         \
    F(T, INT, urgent, none, PH_OPT, 0, INT64_MAX, "when it grew: make a copy that begins now and echo this") \
    F(T, BOOL, required, none, PH_OPT, 0, 0, "a deactivation is not done before this one has the last copy") \
    F(T, INT, verify, none, PH_OPT, 0, INT64_MAX, "when it grew: make a copy now that trusts nothing of what is there, compare all, and echo this")

#define PH_FIELDS_order(F, T)                                                                      \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, INT, generation, none, PH_REQ, 1, INT64_MAX, "of the node's admission; another one is refused") \
    F(T, INT, number, none, PH_REQ, 1, INT64_MAX, "ascending within the term")                     \
    F(T, ENUM, kind, order_kind, PH_REQ, 0, 0, "what is wanted")                                   \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "the pool's epoch")                               \
    F(T, BOOL, create, none, PH_OPT, 0, 0, "activate: the pool has never been active: begin empty") \
    F(T, BOOL, run, none, PH_OPT, 0, 0, "activate: start the VMs (false: data only)")              \
    F(T, ONE, pool, pool, PH_REQ, 0, 0, "the pool as declared")                                    \
    F(T, MANY, vms, vm, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "its VMs as declared, in start order")     \
    F(T, MANY, copies, peer, PH_OPT, 0, PH_COPIES_MAX + 1, "activate, deactivate: who gets copies") \
    F(T, MANY, sources, peer, PH_OPT, 0, PH_COPIES_MAX + 1, "hold: from whom data is accepted")    \
    F(T, TEXT, cluster, none, PH_OPT, 0, 64, "the cluster's id, which names made from it need")    \
    F(T, MANY, operations, operation, PH_OPT, 0, PH_OPERATIONS_MAX, "what is to be done once to its VMs; repeated until a report has the outcome")

#define PH_FIELDS_copy_report(F, T)                                                                \
    F(T, NAME, pool, none, PH_KEY, 1, 63, "the pool")                                              \
    F(T, NAME, node, none, PH_KEY, 1, 63, "the node that has or gets the copy")                    \
    F(T, INT, number, none, PH_REQ, 1, INT64_MAX, "ascending per pool and node within one agent process") \
    F(T, TEXT, instance, none, PH_OPT, 0, 64, "that process, as in its hello")                     \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "the owner's epoch")                              \
    F(T, ENUM, state, replica_state, PH_REQ, 0, 0, "complete: this copy arrived; failing: see reason") \
    F(T, INT, sequence, none, PH_OPT, 0, INT64_MAX, "of the copy")                                 \
    F(T, INT, age_ms, none, PH_OPT, 0, INT64_MAX, "time since the moment whose data it holds")     \
    F(T, INT, progress, none, PH_OPT, 0, 100, "of the copy under way")                             \
    F(T, INT, bytes, none, PH_OPT, 0, INT64_MAX, "size of the copy")                               \
    F(T, INT, urgent, none, PH_OPT, 0, INT64_MAX, "echo of the peer's urgent this copy satisfies") \
    F(T, TEXT, hash, none, PH_OPT, 0, 128, "of the content")                                       \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "the error")                            \
    F(T, INT, verified, none, PH_OPT, 0, INT64_MAX, "echo of the peer's verify that a complete copy has answered") \
    F(T, INT, spoilt, none, PH_OPT, 0, INT64_MAX, "what was found there not to be what it should be; complete: it was made anew, failing: it still is") \
    F(T, INT, sent_bytes, none, PH_OPT, 0, INT64_MAX, "over the channel so far, of the copy under way") \
    F(T, INT, kib_s, none, PH_OPT, 0, INT64_MAX, "its rate in the last second")

/* -- data of former owners that newer copies replaced: DIR/pools/NAME.diverged-eN -- */
#define PH_FIELDS_diverged(F, T)                                                                   \
    F(T, TEXT, name, none, PH_KEY, 1, 128, "of its directory: POOL.diverged-eN")                   \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "under which it was written")                     \
    F(T, INT, since, none, PH_REQ, 0, INT64_MAX, "when it was set aside, wall clock ms")

#define PH_FIELDS_diverged_report(F, T)                                                            \
    F(T, MANY, items, diverged, PH_REQ, 0, PH_DIVERGED_MAX, "all that the node keeps")

#define PH_FIELDS_diverged_drop(F, T)                                                              \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, TEXT, name, none, PH_REQ, 1, 128, "what is to be removed for ever; a list without it is the answer")

/* -- witnesses: docs/conversation.md, "Witnesses" -- */
#define PH_FIELDS_voter_list(F, T)                                                               \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, INT, voters, none, PH_REQ, 0, INT64_MAX, "version of the node's voter set; a lower one than held is ignored") \
    F(T, MANY, witnesses, peer, PH_OPT, 0, PH_WITNESSES_MAX, "whom it asks: its voter set but itself") \
    F(T, MANY, serves, peer, PH_OPT, 0, PH_SERVED_MAX, "for whom it is a witness")                 \
    F(T, INT, check, none, PH_REQ, 1, INT64_MAX, "changes with the content")

#define PH_FIELDS_voter_ok(F, T)                                                                 \
    F(T, INT, voters, none, PH_REQ, 0, INT64_MAX, "version of the voter set the node goes by from now on; durable") \
    F(T, INT, check, none, PH_REQ, 1, INT64_MAX, "of the voter.list it has taken in")

#define PH_FIELDS_vote_ask(F, T)                                                                   \
    F(T, NAME, node, none, PH_REQ, 1, 63, "the node that wants its lease extended")                \
    F(T, INT, generation, none, PH_REQ, 1, INT64_MAX, "its admission")                             \
    F(T, INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "its clock when it asked")                      \
    F(T, INT, voters, none, PH_REQ, 1, INT64_MAX, "version of its voter set")                      \
    F(T, INT, lease_ms, none, PH_REQ, 1, PH_LEASE_MS_MAX, "how long a lease it asks for, from when it asked")

#define PH_FIELDS_vote(F, T)                                                                       \
    F(T, NAME, node, none, PH_REQ, 1, 63, "as asked")                                              \
    F(T, INT, generation, none, PH_REQ, 1, INT64_MAX, "as asked")                                  \
    F(T, INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "as asked: the lease counts from it")           \
    F(T, INT, voters, none, PH_REQ, 1, INT64_MAX, "as asked")                                      \
    F(T, BOOL, granted, none, PH_REQ, 0, 0, "whether the witness extends the lease")               \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why not")

#define PH_FIELDS_promise_ask(F, T)                                                                \
    F(T, INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                              \
    F(T, TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                               \
    F(T, NAME, node, none, PH_REQ, 1, 63, "the silent node")                                       \
    F(T, INT, voters, none, PH_REQ, 1, INT64_MAX, "no vote for this version of its voter set or an older one")

#define PH_FIELDS_promise(F, T)                                                                    \
    F(T, NAME, node, none, PH_REQ, 1, 63, "as asked")                                              \
    F(T, INT, voters, none, PH_REQ, 1, INT64_MAX, "as asked")                                      \
    F(T, BOOL, promised, none, PH_REQ, 0, 0, "durable: no more votes for this version or an older one") \
    F(T, INT, ago_ms, none, PH_OPT, 0, INT64_MAX, "since its last vote for the node, or since its own start") \
    F(T, INT, heard_ms, none, PH_OPT, 0, INT64_MAX, "not promised: it voted for the node so long ago")

#define PH_FIELDS_relay(F, T)                                                                      \
    F(T, NAME, node, none, PH_REQ, 1, 63, "whose link to the manager is broken")                   \
    F(T, MANY, orders, order, PH_OPT, 0, 1, "from the manager to the node")                        \
    F(T, MANY, report_oks, report_ok, PH_OPT, 0, 1, "from the manager to the node")                \
    F(T, MANY, reports, report, PH_OPT, 0, 1, "from the node to the manager")                      \
    F(T, MANY, copy_reports, copy_report, PH_OPT, 0, 1, "from the node to the manager")

#define PH_AGENT_RECORDS(R)                                                                        \
    R(join) R(joined) R(beat) R(grant) R(unwelcome) R(vm_report) R(report) R(report_ok) R(hello)   \
    R(welcome) R(leaving) R(peer) R(order) R(copy_report) R(voter_list) R(voter_ok) R(vote_ask)  \
    R(vote) R(promise_ask) R(promise) R(relay) R(diverged) R(diverged_report)          \
    R(diverged_drop)

/* M(symbol, type, record, least role of the sender, most bytes, doc). Manager-to-agent messages have
 * role NONE here: an agent accepts them from its manager's key alone. */
#define PH_AGENT_MESSAGES(M)                                                                       \
    M(PH_MSG_JOIN, "join", join, PH_ROLE_NONE, 4096, "a newcomer presents its invitation")         \
    M(PH_MSG_JOINED, "joined", joined, PH_ROLE_NONE, 4096, "the invitation was good")              \
    M(PH_MSG_HELLO, "hello", hello, PH_ROLE_AGENT, 16777216, "a node presents itself")             \
    M(PH_MSG_WELCOME, "welcome", welcome, PH_ROLE_NONE, 65536, "the node is admitted")             \
    M(PH_MSG_BEAT, "beat", beat, PH_ROLE_AGENT, 4096, "asks to extend the lease")                  \
    M(PH_MSG_GRANT, "grant", grant, PH_ROLE_NONE, 4096, "extends the lease")                       \
    M(PH_MSG_UNWELCOME, "unwelcome", unwelcome, PH_ROLE_NONE, 4096, "no lease, and why")           \
    M(PH_MSG_REPORT, "report", report, PH_ROLE_AGENT, 1048576, "one pool on this node")            \
    M(PH_MSG_REPORT_OK, "report.ok", report_ok, PH_ROLE_NONE, 4096, "the report is durable")       \
    M(PH_MSG_COPY_REPORT, "copy.report", copy_report, PH_ROLE_AGENT, 65536, "the owner on a copy") \
    M(PH_MSG_LEAVING, "leaving", leaving, PH_ROLE_AGENT, 4096, "the agent asks to be drained")     \
    M(PH_MSG_ORDER, "order", order, PH_ROLE_NONE, 4194304, "what shall be, for one pool")          \
    M(PH_MSG_VOTER_LIST, "voter.list", voter_list, PH_ROLE_NONE, 262144, "who is whose witness") \
    M(PH_MSG_VOTER_OK, "voter.ok", voter_ok, PH_ROLE_AGENT, 4096, "the list is durable at the node") \
    M(PH_MSG_VOTE_ASK, "vote.ask", vote_ask, PH_ROLE_AGENT, 4096, "a node asks a witness to extend its lease") \
    M(PH_MSG_VOTE, "vote", vote, PH_ROLE_AGENT, 4096, "the witness answers")                       \
    M(PH_MSG_PROMISE_ASK, "promise.ask", promise_ask, PH_ROLE_NONE, 4096, "the manager asks a witness of a silent node") \
    M(PH_MSG_PROMISE, "promise", promise, PH_ROLE_AGENT, 4096, "the witness answers")              \
    M(PH_MSG_RELAY, "relay", relay, PH_ROLE_AGENT, 4259840, "passed on by a witness, in either direction") \
    M(PH_MSG_DIVERGED_LIST, "diverged.list", diverged_report, PH_ROLE_AGENT, 1048576, "what a node has set aside") \
    M(PH_MSG_DIVERGED_DROP, "diverged.drop", diverged_drop, PH_ROLE_NONE, 4096, "the manager has it removed")

#endif
