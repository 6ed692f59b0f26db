/*
 * Catalogue: the words. Every state and kind that appears on the wire, in the inventory and in
 * --json, once. Order matters only inside C; the words are what is stored and sent.
 */
#ifndef PH_CATALOGUE_STATES_H
#define PH_CATALOGUE_STATES_H

#define PH_VALUES_node_state(V)                                                                    \
    V(PH_NODE_JOINING, "joining", "enrolled, and not admitted with a lease yet")                   \
    V(PH_NODE_ONLINE, "online", "holds a lease")                                                   \
    V(PH_NODE_SUSPECT, "suspect", "silent for longer than a lease; may still run its pools")       \
    V(PH_NODE_LOST, "lost", "proven to run nothing by time; grants stopped, must be admitted anew")\
    V(PH_NODE_FENCED, "fenced", "proven off by a fence device or an operator's word")

#define PH_VALUES_node_admin(V)                                                                    \
    V(PH_ADMIN_ACTIVE, "active", "may be given pools")                                             \
    V(PH_ADMIN_DRAINING, "draining", "a drain moves its pools away; gets no new ones")             \
    V(PH_ADMIN_MAINTENANCE, "maintenance", "nothing of any pool runs here; gets none")             \
    V(PH_ADMIN_QUARANTINED, "quarantined", "failed too often; gets none until the count decays")   \
    V(PH_ADMIN_RETIRED, "retired", "left for good; its key is revoked")

#define PH_VALUES_pool_state(V)                                                                    \
    V(PH_POOL_UNASSIGNED, "unassigned", "on no node")                                              \
    V(PH_POOL_ACTIVATING, "activating", "given to a node that has not confirmed yet")              \
    V(PH_POOL_ACTIVE, "active", "its node runs it")                                                \
    V(PH_POOL_DEACTIVATING, "deactivating", "its node is stopping it")                             \
    V(PH_POOL_WAITING, "waiting", "its node is silent and the proof is not there yet")             \
    V(PH_POOL_BLOCKED, "blocked", "cannot run without an operator or another node; see reason")    \
    V(PH_POOL_FAILED, "failed", "failed on every candidate; see reason")

#define PH_VALUES_pool_desired(V)                                                                  \
    V(PH_DESIRED_ACTIVE, "active", "shall run on one node")                                        \
    V(PH_DESIRED_INACTIVE, "inactive", "shall run nowhere; its data stays")

#define PH_VALUES_failback(V)                                                                      \
    V(PH_FAILBACK_NO, "no", "stays where it is")                                                   \
    V(PH_FAILBACK_YES, "yes", "moves back as soon as a preferred node is ready")                   \
    V(PH_FAILBACK_AT, "at", "moves back at failback_at, local time of the manager")

/* What an image pool's file holds. */
#define PH_VALUES_file_system(V)                                                                   \
    V(PH_FILE_SYSTEM_EXT4, "ext4", "grows online; small ones are fine")                            \
    V(PH_FILE_SYSTEM_XFS, "xfs", "grows online; 300 MiB or more")

#define PH_VALUES_restart_policy(V)                                                                \
    V(PH_RESTART_ALWAYS, "always", "started again whenever it ends")                               \
    V(PH_RESTART_ON_FAILURE, "on-failure", "started again unless it ended with status 0")          \
    V(PH_RESTART_NEVER, "never", "left ended")

#define PH_VALUES_vm_state(V)                                                                      \
    V(PH_VM_STOPPED, "stopped", "not running, nor meant to")                                       \
    V(PH_VM_STARTING, "starting", "being started")                                                 \
    V(PH_VM_RUNNING, "running", "its process is there")                                            \
    V(PH_VM_STOPPING, "stopping", "asked to end")                                                  \
    V(PH_VM_ENDED, "ended", "ended by itself and its restart policy leaves it so")                 \
    V(PH_VM_BACKOFF, "backoff", "failed; waits before the next start")                             \
    V(PH_VM_FAILED, "failed", "cannot be started; see reason")

#define PH_VALUES_replica_state(V)                                                                 \
    V(PH_REPLICA_SEEDING, "seeding", "no complete copy yet")                                       \
    V(PH_REPLICA_COMPLETE, "complete", "a complete copy; its age says how old")                    \
    V(PH_REPLICA_FAILING, "failing", "a complete copy exists, but newer ones fail; see reason")    \
    V(PH_REPLICA_DIVERGED, "diverged", "a former owner's data, set aside")

#define PH_VALUES_job_kind(V)                                                                      \
    V(PH_JOB_MOVE, "move", "one pool to another node, nothing lost (switchover)")                  \
    V(PH_JOB_DRAIN, "drain", "every pool away from one node")                                      \
    V(PH_JOB_TAKEOVER, "takeover", "one pool after its node was lost (failover)")                  \
    V(PH_JOB_START, "start", "make a pool active")                                                 \
    V(PH_JOB_STOP, "stop", "make a pool inactive")                                                 \
    V(PH_JOB_REMOVE, "remove", "stop a pool and forget it")                                        \
    V(PH_JOB_FENCE, "fence", "prove that a node is off")                                           \
    V(PH_JOB_RETIRE, "retire", "drain a node and forget it")                                       \
    V(PH_JOB_VERIFY, "verify", "compare every copy of a pool with the pool, whole")                \
    V(PH_JOB_VM, "vm", "something that is done to one VM, once")

/* What is done to a VM once; what it shall be (stopped, its settings) is no operation but declared. */
#define PH_VALUES_vm_operation(V)                                                                  \
    V(PH_OPERATION_NONE, "none", "not a job of kind vm")                                           \
    V(PH_OPERATION_RESET, "reset", "the machine is reset, as by its button")                       \
    V(PH_OPERATION_PAUSE, "pause", "its processors halt; memory stays")                            \
    V(PH_OPERATION_RESUME, "resume", "its processors go on")                                       \
    V(PH_OPERATION_SNAPSHOT_CREATE, "snapshot-create", "disks and memory as they are, under a name") \
    V(PH_OPERATION_SNAPSHOT_ROLLBACK, "snapshot-rollback", "disks and memory as they were then")   \
    V(PH_OPERATION_SNAPSHOT_DELETE, "snapshot-delete", "a snapshot is removed")                    \
    V(PH_OPERATION_SNAPSHOT_LIST, "snapshot-list", "what snapshots there are")

#define PH_VALUES_operation_state(V)                                                               \
    V(PH_OPERATION_BEGUN, "begun", "under way, or cut off")                                        \
    V(PH_OPERATION_SUCCEEDED, "succeeded", "done")                                                 \
    V(PH_OPERATION_FAILED, "failed", "not done; see reason")

#define PH_VALUES_job_state(V)                                                                     \
    V(PH_JOB_QUEUED, "queued", "not begun; waiting_on says why")                                   \
    V(PH_JOB_RUNNING, "running", "under way")                                                      \
    V(PH_JOB_SUCCEEDED, "succeeded", "done")                                                       \
    V(PH_JOB_FAILED, "failed", "ended without its aim; see reason")                                \
    V(PH_JOB_CANCELLED, "cancelled", "ended by an operator")

/* Where a job of kind move stands; its steps are written in manager/core/move.c. */
#define PH_VALUES_job_phase(V)                                                                     \
    V(PH_PHASE_PLANNED, "planned", "nothing has been touched")                                     \
    V(PH_PHASE_COPYING, "copying", "the target gets a copy while the pool runs")                   \
    V(PH_PHASE_STOPPING, "stopping", "the source stops the pool and makes the last copy")          \
    V(PH_PHASE_ACTIVATING, "activating", "the target activates under the new epoch")               \
    V(PH_PHASE_RETURNING, "returning", "it failed or was cancelled late: back on the source")      \
    V(PH_PHASE_DONE, "done", "nothing is left to do")

#define PH_VALUES_role(V)                                                                          \
    V(PH_ROLE_NONE, "none", "may only present an invitation")                                      \
    V(PH_ROLE_AGENT, "agent", "a node: beats, reports")                                            \
    V(PH_ROLE_VIEWER, "viewer", "may ask")                                                         \
    V(PH_ROLE_OPERATOR, "operator", "may also declare, move, drain")                               \
    V(PH_ROLE_ADMIN, "admin", "may also invite, revoke, fence, retire")

#define PH_VALUES_event_level(V)                                                                   \
    V(PH_EVENT_INFO, "info", "as it should be")                                                    \
    V(PH_EVENT_WARNING, "warning", "works, and somebody should look")                              \
    V(PH_EVENT_ERROR, "error", "something does not run")

/* What an order wants of a node for one pool. */
#define PH_VALUES_order_kind(V)                                                                    \
    V(PH_ORDER_ACTIVATE, "activate", "own the pool at this epoch: data active, VMs running")       \
    V(PH_ORDER_DEACTIVATE, "deactivate", "stop the VMs, release the data, make the last copy")     \
    V(PH_ORDER_HOLD, "hold", "keep a copy: accept data from the owner at this epoch")              \
    V(PH_ORDER_DROP, "drop", "remove every trace of the pool from this node")

/* What a node says of one pool. */
#define PH_VALUES_local_state(V)                                                                   \
    V(PH_LOCAL_NONE, "none", "no trace of the pool here")                                          \
    V(PH_LOCAL_COPY, "copy", "a copy is kept (or awaited) here; nothing runs")                     \
    V(PH_LOCAL_ACTIVATING, "activating", "data being promoted or mounted, VMs being started")      \
    V(PH_LOCAL_ACTIVE, "active", "every VM was started")                                           \
    V(PH_LOCAL_DEACTIVATING, "deactivating", "VMs being stopped, data released, last copy made")   \
    V(PH_LOCAL_RELEASED, "released", "nothing runs and nothing is mounted; data is kept here")     \
    V(PH_LOCAL_FAILED, "failed", "the order could not be carried out; nothing runs; see reason")   \
    V(PH_LOCAL_STUCK, "stuck", "something of the pool cannot be stopped; see reason")

/* How a node kills a pool, and with it what ends the pool when the guard is gone. */
#define PH_VALUES_kill_means(V)                                                                    \
    V(PH_KILLS_UNKNOWN, "unknown", "its agent has not said")                                       \
    V(PH_KILLS_GROUPS, "groups", "process groups and marks: a program that hides well may be missed") \
    V(PH_KILLS_CGROUP, "cgroup", "cgroup.kill: nothing escapes")                                   \
    V(PH_KILLS_NAMESPACE, "namespace", "a PID namespace too, whose init ends it with the lease: no guard is needed")

/* What becomes of the pools of a silent node that has no watchdog. */
#define PH_VALUES_without_watchdog(V)                                                              \
    V(PH_WITHOUT_WATCHDOG_ACCEPT, "accept", "taken over when the wait is over: SIGKILL is trusted to end what ran") \
    V(PH_WITHOUT_WATCHDOG_HOLD, "hold", "held until fencing or an operator confirms that the node is off")

/* Why a node's pools may go elsewhere ("Taking over" in docs/failure-model.md). */
#define PH_VALUES_proof(V)                                                                         \
    V(PH_PROOF_NONE, "none", "no proof yet")                                                       \
    V(PH_PROOF_RELEASED, "released", "the node released the pool")                                 \
    V(PH_PROOF_FENCED, "fenced", "a fence device confirmed the node is off")                       \
    V(PH_PROOF_CONFIRMED, "confirmed", "an operator said by name that the node is dead")           \
    V(PH_PROOF_EXPIRED, "expired", "k*(lease+stop) passed since the last grant was sent")

#endif
