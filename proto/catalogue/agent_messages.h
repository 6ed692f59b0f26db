/*
 * Catalogue: what agents and the manager, and agents among each other, say. See proto/record.h for
 * the form, proto/message.h for the envelope. Durations end in _ms; `_ms` instants named boot_ms are
 * CLOCK_BOOTTIME of the machine that wrote them and mean nothing elsewhere.
 */
#ifndef PH_CATALOGUE_AGENT_MESSAGES_H
#define PH_CATALOGUE_AGENT_MESSAGES_H

#define PH_FIELDS_join(F)                                                                          \
    F(NAME, name, none, PH_REQ, 1, 63, "the name in the invitation")                               \
    F(TEXT, secret, none, PH_REQ | PH_SECRET, 1, 128, "the invitation's secret")

#define PH_FIELDS_joined(F)                                                                        \
    F(NAME, name, none, PH_REQ, 1, 63, "the identity now bound to the sender's key")               \
    F(ENUM, role, role, PH_REQ, 0, 0, "what it may do")                                            \
    F(TEXT, cluster, none, PH_REQ, 1, 64, "the cluster's id")

/* -- leases -- */
#define PH_FIELDS_beat(F)                                                                          \
    F(INT, number, none, PH_REQ, 0, INT64_MAX, "ascending within one agent process")               \
    F(INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "the node's clock when it sent this")              \
    F(INT, generation, none, PH_REQ, 0, INT64_MAX, "the admission it believes in; 0: none")        \
    F(INT, term, none, PH_REQ, 0, INT64_MAX, "highest manager term it has seen")                   \
    F(TEXT, instance, none, PH_REQ, 1, 64, "random id of this agent process")

#define PH_FIELDS_grant(F)                                                                         \
    F(INT, number, none, PH_REQ, 0, INT64_MAX, "of the beat it answers")                           \
    F(INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "of the beat it answers: the lease counts from it")\
    F(INT, generation, none, PH_REQ, 0, INT64_MAX, "of the beat it answers")                       \
    F(INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                                 \
    F(TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id, which belongs to the term")       \
    F(INT, lease_ms, none, PH_REQ, 1, PH_LEASE_MS_MAX, "the lease's length")

#define PH_FIELDS_unwelcome(F)                                                                     \
    F(INT, number, none, PH_OPT, 0, INT64_MAX, "of the beat or hello it answers")                  \
    F(INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                                 \
    F(TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                                  \
    F(BOOL, say_hello, none, PH_OPT, 0, 0, "the node shall present itself anew")                   \
    F(BOOL, duplicate, none, PH_OPT, 0, 0, "another agent with this identity is alive: end")       \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why")

/* -- what a node is and has -- */
#define PH_FIELDS_vm_report(F)                                                                     \
    F(NAME, name, none, PH_KEY, 1, 63, "the VM")                                                   \
    F(ENUM, state, vm_state, PH_REQ, 0, 0, "as seen")                                              \
    F(INT, pid, none, PH_OPT, 0, INT32_MAX, "0: none")                                             \
    F(INT, restarts, none, PH_OPT, 0, INT64_MAX, "under this epoch")                               \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why")

#define PH_FIELDS_report(F)                                                                        \
    F(NAME, pool, none, PH_KEY, 1, 63, "the pool")                                                 \
    F(INT, number, none, PH_REQ, 1, INT64_MAX, "ascending per pool within one agent process")      \
    F(INT, epoch, none, PH_REQ, 0, INT64_MAX, "the epoch this speaks of")                          \
    F(INT, order_term, none, PH_OPT, 0, INT64_MAX, "of the newest order taken in")                 \
    F(INT, order_number, none, PH_OPT, 0, INT64_MAX, "of the newest order taken in")               \
    F(ENUM, state, local_state, PH_REQ, 0, 0, "where it stands here")                              \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why, and the next step, when failed or stuck") \
    F(TEXT, step, none, PH_OPT, 0, 64, "the step under way, for waiting_on")                       \
    F(INT, data_epoch, none, PH_OPT, 0, INT64_MAX, "epoch stored with the data here; 0: no data")  \
    F(INT, data_sequence, none, PH_OPT, 0, INT64_MAX, "sequence of the newest complete copy here") \
    F(MANY, vms, vm_report, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "its VMs, when it is active here")

#define PH_FIELDS_report_ok(F)                                                                     \
    F(NAME, pool, none, PH_KEY, 1, 63, "the pool")                                                 \
    F(NAME, node, none, PH_OPT, 0, 63, "of a copy report: its node; empty: of a pool report")      \
    F(INT, number, none, PH_REQ, 1, INT64_MAX, "of the report that is now durable")

#define PH_FIELDS_hello(F)                                                                         \
    F(TEXT, instance, none, PH_REQ, 1, 64, "random id of this agent process")                      \
    F(TEXT, previous, none, PH_OPT, 0, 64, "instance that last ran on this directory")             \
    F(TEXT, boot_id, none, PH_OPT, 0, 64, "the machine's boot id")                                 \
    F(TEXT, version, none, PH_OPT, 0, 64, "the agent's version")                                   \
    F(TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "where its data channel listens")        \
    F(TEXTS, labels, none, PH_OPT, 0, PH_LABELS_MAX, "key=value")                                  \
    F(TEXTS, drivers, none, PH_OPT, 0, 64, "drivers that work here")                               \
    F(INT, cpu, none, PH_OPT, 0, 1000000, "processors, in thousandths")                            \
    F(INT, memory_mib, none, PH_OPT, 0, INT64_MAX, "memory")                                       \
    F(INT, disk_mib, none, PH_OPT, 0, INT64_MAX, "disk")                                           \
    F(INT, generation, none, PH_OPT, 0, INT64_MAX, "the admission it holds; 0: none")              \
    F(INT, term, none, PH_OPT, 0, INT64_MAX, "highest manager term seen")                          \
    F(TEXT, manager, none, PH_OPT, 0, 64, "id that belonged to that term")                         \
    F(INT, lease_left_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "0: none, and nothing runs here")      \
    F(MANY, pools, report, PH_OPT, 0, PH_POOLS_MAX, "every pool with a trace here")

#define PH_FIELDS_welcome(F)                                                                       \
    F(INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                                 \
    F(TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                                  \
    F(NAME, name, none, PH_REQ, 1, 63, "the node's name")                                          \
    F(INT, generation, none, PH_REQ, 1, INT64_MAX, "the admission now in force")                   \
    F(TEXT, instance, none, PH_REQ, 1, 64, "of the hello it answers")                              \
    F(INT, beat_ms, none, PH_REQ, PH_BEAT_MS_MIN, PH_LEASE_MS_MAX, "how often to beat")            \
    F(INT, lease_ms, none, PH_REQ, 1, PH_LEASE_MS_MAX, "the lease's length")                       \
    F(INT, stop_ms, none, PH_REQ, 1, PH_LEASE_MS_MAX, "how long stopping may take at lease end")

#define PH_FIELDS_leaving(F)                                                                       \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why the agent wants to be drained")

/* -- orders -- */
#define PH_FIELDS_peer(F)                                                                          \
    F(NAME, node, none, PH_KEY, 1, 63, "the other node")                                           \
    F(TEXT, endpoint, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "its data channel")                      \
    F(TEXT, public_key, none, PH_OPT, 0, PH_KEY_BYTES, "its CURVE key")                            \
    F(INT, urgent, none, PH_OPT, 0, INT64_MAX, "when it grew: make a copy that begins now and echo this") \
    F(BOOL, required, none, PH_OPT, 0, 0, "a deactivation is not done before this one has the last copy")

#define PH_FIELDS_order(F)                                                                         \
    F(INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                                 \
    F(TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                                  \
    F(INT, generation, none, PH_REQ, 1, INT64_MAX, "of the node's admission; another one is refused") \
    F(INT, number, none, PH_REQ, 1, INT64_MAX, "ascending within the term")                        \
    F(ENUM, kind, order_kind, PH_REQ, 0, 0, "what is wanted")                                      \
    F(INT, epoch, none, PH_REQ, 0, INT64_MAX, "the pool's epoch")                                  \
    F(BOOL, create, none, PH_OPT, 0, 0, "activate: the pool has never been active: begin empty")   \
    F(BOOL, run, none, PH_OPT, 0, 0, "activate: start the VMs (false: data only)")                 \
    F(ONE, pool, pool, PH_REQ, 0, 0, "the pool as declared")                                       \
    F(MANY, vms, vm, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "its VMs as declared, in start order")        \
    F(MANY, copies, peer, PH_OPT, 0, PH_COPIES_MAX + 1, "activate, deactivate: who gets copies")   \
    F(MANY, sources, peer, PH_OPT, 0, PH_COPIES_MAX + 1, "hold: from whom data is accepted")

#define PH_FIELDS_copy_report(F)                                                                   \
    F(NAME, pool, none, PH_KEY, 1, 63, "the pool")                                                 \
    F(NAME, node, none, PH_KEY, 1, 63, "the node that has or gets the copy")                       \
    F(INT, number, none, PH_REQ, 1, INT64_MAX, "ascending per pool and node within one agent process") \
    F(INT, epoch, none, PH_REQ, 0, INT64_MAX, "the owner's epoch")                                 \
    F(ENUM, state, replica_state, PH_REQ, 0, 0, "complete: this copy arrived; failing: see reason")\
    F(INT, sequence, none, PH_OPT, 0, INT64_MAX, "of the copy")                                    \
    F(INT, age_ms, none, PH_OPT, 0, INT64_MAX, "time since the moment whose data it holds")        \
    F(INT, progress, none, PH_OPT, 0, 100, "of the copy under way")                                \
    F(INT, bytes, none, PH_OPT, 0, INT64_MAX, "size of the copy")                                  \
    F(INT, urgent, none, PH_OPT, 0, INT64_MAX, "echo of the peer's urgent this copy satisfies")    \
    F(TEXT, hash, none, PH_OPT, 0, 128, "of the content")                                          \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "the error")

/* -- witnesses: reserved names; sent and answered from issue 3 on, refused with a reason before -- */
#define PH_FIELDS_vote_ask(F)                                                                      \
    F(NAME, node, none, PH_REQ, 1, 63, "the node that wants its lease extended")                   \
    F(INT, generation, none, PH_REQ, 1, INT64_MAX, "its admission")                                \
    F(INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "its clock when it asked")                         \
    F(INT, voters, none, PH_REQ, 0, INT64_MAX, "version of its voter set")

#define PH_FIELDS_vote(F)                                                                          \
    F(NAME, node, none, PH_REQ, 1, 63, "as asked")                                                 \
    F(INT, generation, none, PH_REQ, 1, INT64_MAX, "as asked")                                     \
    F(INT, boot_ms, none, PH_REQ, 0, INT64_MAX, "as asked: the lease counts from it")              \
    F(BOOL, granted, none, PH_REQ, 0, 0, "whether the witness extends the lease")                  \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why not")

#define PH_FIELDS_promise_ask(F)                                                                   \
    F(INT, term, none, PH_REQ, 1, INT64_MAX, "the manager's term")                                 \
    F(TEXT, manager, none, PH_REQ, 1, 64, "the manager's own id")                                  \
    F(NAME, node, none, PH_REQ, 1, 63, "the silent node")                                          \
    F(INT, generation, none, PH_REQ, 1, INT64_MAX, "its admission")

#define PH_FIELDS_promise(F)                                                                       \
    F(NAME, node, none, PH_REQ, 1, 63, "as asked")                                                 \
    F(INT, generation, none, PH_REQ, 1, INT64_MAX, "as asked")                                     \
    F(BOOL, promised, none, PH_REQ, 0, 0, "no more grants to this generation; durable")            \
    F(INT, live_ms, none, PH_OPT, 0, PH_LEASE_MS_MAX, "how long any grant it gave may still live") \
    F(INT, heard_ms, none, PH_OPT, 0, INT64_MAX, "refused: it heard the node this long ago")

#define PH_AGENT_RECORDS(R)                                                                        \
    R(join) R(joined) R(beat) R(grant) R(unwelcome) R(vm_report) R(report) R(report_ok) R(hello)   \
    R(welcome) R(leaving) R(peer) R(order) R(copy_report) R(vote_ask) R(vote) R(promise_ask)       \
    R(promise)

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
    M(PH_MSG_VOTE_ASK, "vote.ask", vote_ask, PH_ROLE_AGENT, 4096, "a node asks a witness")         \
    M(PH_MSG_VOTE, "vote", vote, PH_ROLE_AGENT, 4096, "the witness answers")                       \
    M(PH_MSG_PROMISE_ASK, "promise.ask", promise_ask, PH_ROLE_NONE, 4096, "the manager asks a witness") \
    M(PH_MSG_PROMISE, "promise", promise, PH_ROLE_AGENT, 4096, "the witness answers")

#endif
