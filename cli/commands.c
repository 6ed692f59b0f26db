/* The table of commands. */
#include <stddef.h>
#include "cli/command.h"

#define BIT(symbol) PH_CLI_BIT(symbol)

const struct ph_cli_command ph_cli_commands[] = {
    {"status", NULL, 0, false, ph_cli_status, NULL, "the whole cluster on one screen",
        "Nodes, pools and the jobs under way. Exit status 0 also when something is wrong: see "
        "doctor.",
        "poolherd status"},
    {"node list", NULL, 0, false, ph_cli_node_list, NULL, "every node, its state and its lease",
        NULL, "poolherd node list --json"},
    {"node show", "NAME", 0, false, ph_cli_node_show, "node", "everything known of one node", NULL,
        "poolherd node show n1"},
    {"node invite", "NAME", BIT(VALID), false, ph_cli_node_invite, NULL,
        "print a one-time invitation for a new node",
        "The token holds the manager's address and public key and a secret; it is shown once and "
        "ends\n"
        "after a day (--valid). Inviting again replaces an open invitation.",
        "poolherd node invite n4 | ssh n4 poolherd-agent --dir /var/lib/poolherd/agent --join -"},
    {"node drain", "NAME", BIT(DRY_RUN) | BIT(MAX_PARALLEL) | BIT(DEADLINE) | BIT(WAIT), false,
        ph_cli_node_drain, "node", "move every pool away from a node, then hold it in maintenance",
        "Plans first, moves by priority, and ends as maintenance only when nothing of any pool "
        "runs on\n"
        "the node any more. Cancel it with `poolherd job cancel ID`: moves under way finish, "
        "others do\n"
        "not begin.",
        "poolherd node drain n2 --max-parallel 2 --deadline 600 --wait"},
    {"node resume", "NAME", 0, false, ph_cli_node_resume, "node",
        "let a node have pools again after a drain or a quarantine", NULL,
        "poolherd node resume n2"},
    {"node fence", "NAME", BIT(CONFIRM_DEAD) | BIT(DRY_RUN) | BIT(REBOOT) | BIT(WAIT), false,
        ph_cli_node_fence, "node", "prove that a node is off, so that its pools may move at once",
        "Its fence devices switch it off, level by level, until every device of one has confirmed "
        "it. It\n"
        "stays off; --reboot switches it on again, as `poolherd fence on NAME` does later.\n"
        "With --confirm-dead NAME no device is used: you swear that it is off and stays off. If "
        "that "
        "is not\n"
        "true, its pools run twice: it is the one way to break Poolherd's promise.",
        "poolherd node fence n1 --wait"},
    {"node retire", "NAME", BIT(WAIT), false, ph_cli_node_retire, "node",
        "drain a node and forget it", "Its key is refused from then on.",
        "poolherd node retire n4 --wait"},
    {"driver list", NULL, BIT(NODE), false, ph_cli_driver_list, NULL,
        "which drivers work on each node, and why others do not", NULL,
        "poolherd driver list --node n1"},
    {"driver show", "NAME", 0, true, ph_cli_driver_show, NULL,
        "what a driver is for, and its settings",
        "With ocf:PROVIDER:TYPE what a resource agent is for, and its parameters.",
        "poolherd driver show ocf:heartbeat:Filesystem"},
    {"fence list", NULL, 0, false, ph_cli_fence_list, NULL,
        "every fence device, from where it is reached and what it said last", NULL,
        "poolherd fence list"},
    {"fence show", "NAME", 0, false, ph_cli_fence_show, "node",
        "everything known of the fence devices of one node",
        "Secrets are in no view: a device names the files that hold them.",
        "poolherd fence show n1"},
    {"fence apply", NULL, BIT(FILE) | BIT(DRY_RUN) | BIT(PRUNE), false, ph_cli_fence_apply, NULL,
        "make fence devices be as a file declares them",
        "Reads the section `fencing` of the file, which may hold pools as well. A node that it "
        "names "
        "gets\n"
        "exactly the devices named there, all or nothing; each is then asked for its status, which "
        "does no\n"
        "harm. Secrets stay in files of mode 0600 where the agent is run (option_files).",
        "poolherd fence apply -f fencing.yaml --dry-run"},
    {"fence test", "[NAME]", 0, false, ph_cli_fence_test, "node",
        "ask fence devices for their status, without harm",
        "Of one node, or of all. Exit status 0 when every device has answered, 1 when one has not.",
        "poolherd fence test n1"},
    {"fence on", "NAME", 0, false, ph_cli_fence_on, "node",
        "switch a node on again by its fence devices", "Poolherd does so only when it is asked.",
        "poolherd fence on n1"},
    {"pool list", NULL, 0, false, ph_cli_pool_list, NULL,
        "every pool, where it is and how old its copies are", NULL, "poolherd pool list --json"},
    {"pool show", "NAME", 0, false, ph_cli_pool_show, "pool", "everything known of one pool", NULL,
        "poolherd pool show web"},
    {"pool apply", NULL, BIT(FILE) | BIT(DRY_RUN) | BIT(PRUNE), false, ph_cli_pool_apply, NULL,
        "make pools be as a file declares them",
        "Shows what changes, all or nothing. Applying the same file again changes nothing.",
        "poolherd pool apply -f pools.yaml --dry-run"},
    {"pool move", "NAME", BIT(TO) | BIT(DRY_RUN) | BIT(WAIT), false, ph_cli_pool_move, "pool",
        "move a pool to another node, losing nothing", NULL,
        "poolherd pool move web --to n3 --wait"},
    {"pool start", "NAME", BIT(ACCEPT_DATA_LOSS) | BIT(RETRY) | BIT(WAIT), false, ph_cli_pool_start,
        "pool", "make a pool active",
        "A pool whose freshest copy is older than its max_data_loss_s waits for "
        "--accept-data-loss; one\n"
        "that failed on every node waits for --retry.",
        "poolherd pool start db --accept-data-loss"},
    {"pool stop", "NAME", BIT(WAIT), false, ph_cli_pool_stop, "pool",
        "stop a pool; its data stays where it is", NULL, "poolherd pool stop web --wait"},
    {"pool verify", "NAME", BIT(WAIT), false, ph_cli_pool_verify, "pool",
        "compare every copy of a pool with the pool, whole",
        "One copy after another. What a copy has wrong is made anew, and an event says so; `pool "
        "show` has\n"
        "the time and the result. A pool that declares verify_interval_s is compared by itself.",
        "poolherd pool verify web --wait"},
    {"pool remove", "NAME", BIT(DESTROY_DATA) | BIT(DRY_RUN) | BIT(WAIT), false, ph_cli_pool_remove,
        "pool", "stop a pool and forget it",
        "Its data stays on disk unless --destroy-data is given.", "poolherd pool remove web"},
    {"pool explain", "NAME", 0, false, ph_cli_pool_explain, "pool",
        "why a pool is where it is, and why not on each other node", NULL,
        "poolherd pool explain web"},
    {"diverged list", NULL, 0, false, ph_cli_diverged_list, NULL,
        "data of former owners that newer copies replaced",
        "It is kept on its node, in DIR/pools/NAME, until the time shown; an event says so before. "
        "docs/pools.md tells\n"
        "how to look at it and to bring over what is needed.",
        "poolherd diverged list"},
    {"diverged drop", "NODE/NAME", 0, false, ph_cli_diverged_drop, NULL,
        "remove such data for ever", NULL, "poolherd diverged drop n1/web.diverged-e3"},
    {"vm list", NULL, 0, false, ph_cli_vm_list, NULL,
        "every VM, where it runs and what its guest does", NULL, "poolherd vm list"},
    {"vm show", "POOL/VM", 0, false, ph_cli_vm_show, NULL, "everything known of one VM",
        "Its settings are in `poolherd pool show POOL --json`.", "poolherd vm show shop/db"},
    {"vm start", "POOL/VM", BIT(WAIT), false, ph_cli_vm_start, NULL,
        "let a VM run again that was stopped", NULL, "poolherd vm start shop/db --wait"},
    {"vm stop", "POOL/VM", BIT(WAIT), false, ph_cli_vm_stop, NULL,
        "stop one VM; the others of its pool run on",
        "The guest is asked to shut down, and killed after its stop_timeout_ms. It stays stopped, "
        "also "
        "when\n"
        "its pool moves or is taken over, until `poolherd vm start`.",
        "poolherd vm stop shop/db --wait"},
    {"vm reset", "POOL/VM", BIT(REQUEST_ID) | BIT(WAIT), false, ph_cli_vm_reset, NULL,
        "reset a machine, as by its button",
        "A job; done at most once, whatever fails meanwhile. Jobs on one VM are done one after "
        "another.",
        "poolherd vm reset shop/db --wait"},
    {"vm pause", "POOL/VM", BIT(REQUEST_ID) | BIT(WAIT), false, ph_cli_vm_pause, NULL,
        "halt a machine's processors; its memory stays",
        "Until `poolherd vm resume`, or until it is started anew: by a move, a take-over, a "
        "restart.",
        "poolherd vm pause shop/db --wait"},
    {"vm resume", "POOL/VM", BIT(REQUEST_ID) | BIT(WAIT), false, ph_cli_vm_resume, NULL,
        "let a paused machine go on", NULL, "poolherd vm resume shop/db --wait"},
    {"snapshot create", "POOL/VM@SNAPSHOT", BIT(REQUEST_ID) | BIT(WAIT), false,
        ph_cli_snapshot_create, NULL, "keep a running VM's disks and memory as they are now",
        "In its qcow2 disks, so that it moves with the pool and is in every copy of it. The guest "
        "stands\n"
        "still while its memory is written.",
        "poolherd snapshot create shop/db@before-upgrade --wait"},
    {"snapshot list", "POOL/VM", 0, false, ph_cli_snapshot_list, NULL,
        "the snapshots of a running VM", NULL, "poolherd snapshot list shop/db"},
    {"snapshot rollback", "POOL/VM@SNAPSHOT", BIT(REQUEST_ID) | BIT(WAIT), false,
        ph_cli_snapshot_rollback, NULL, "make a VM's disks and memory as they were then",
        "What was written since is lost; take a snapshot first if you may want it back.",
        "poolherd snapshot rollback shop/db@before-upgrade --wait"},
    {"snapshot delete", "POOL/VM@SNAPSHOT", BIT(REQUEST_ID) | BIT(WAIT), false,
        ph_cli_snapshot_delete, NULL, "remove a snapshot", NULL,
        "poolherd snapshot delete shop/db@before-upgrade --wait"},
    {"job list", NULL, BIT(ALL), false, ph_cli_job_list, NULL, "jobs under way", NULL,
        "poolherd job list --all"},
    {"job show", "ID", 0, false, ph_cli_job_show, "job", "one job and, of a drain, its moves", NULL,
        "poolherd job show 12 --json"},
    {"job watch", "ID", 0, false, ph_cli_job_watch, "job", "follow a job to its end",
        "Exit status 0 when it succeeded, 1 when it failed or was cancelled.",
        "poolherd job watch 12"},
    {"job cancel", "ID", 0, false, ph_cli_job_cancel, "job", "stop a job where that is safe",
        "What is past turning back is finished; the state is consistent at every instant.",
        "poolherd job cancel 12"},
    {"events", NULL, BIT(FOLLOW) | BIT(POOL) | BIT(NODE) | BIT(JOB) | BIT(LIMIT) | BIT(STORY),
        false, ph_cli_events, NULL, "what happened, and who asked for it",
        "With --story ID the story of one job (job list --all has the numbers): of a take-over, "
        "what "
        "was\n"
        "silent since when, the proof, the copy and its age, each step with its time; of a move, a "
        "drain or\n"
        "a fence run likewise. It is told from the inventory, however long ago it was.",
        "poolherd events --story 12"},
    {"query", "SQL", BIT(AS_OF) | BIT(CSV) | BIT(LIMIT), false, ph_cli_query, NULL,
        "ask the inventory in SQL",
        "One SELECT over the views nodes, pools, vms, replicas, jobs, events, identities and, "
        "with\n"
        "their history, nodes_history, pools_history, vms_history; see docs/inventory.md.",
        "poolherd query \"SELECT node, count(*) AS pools FROM pools GROUP BY node\" --as-of -1h"},
    {"doctor", NULL, 0, false, ph_cli_doctor, NULL,
        "which guarantees hold here, and what would make the others hold",
        "Exit status 0 when all hold, 1 when one does not.", "poolherd doctor"},
    {"cluster pause", NULL, 0, false, ph_cli_cluster_pause, NULL,
        "no automatic action until resumed",
        "Leases go on; nothing is taken over, placed, tried again, copied elsewhere or moved back "
        "by "
        "itself.\n"
        "What is asked for by name (pool start, pool move, node drain, node fence) is done.",
        "poolherd cluster pause"},
    {"cluster resume", NULL, 0, false, ph_cli_cluster_resume, NULL, "automatic action again", NULL,
        "poolherd cluster resume"},
    {"identity list", NULL, 0, false, ph_cli_identity_list, NULL, "who may do what", NULL,
        "poolherd identity list"},
    {"identity invite", "NAME", BIT(ROLE) | BIT(VALID), false, ph_cli_identity_invite, NULL,
        "print a one-time invitation for a person or a program", NULL,
        "poolherd identity invite ann --role operator"},
    {"identity revoke", "NAME", 0, false, ph_cli_identity_revoke, NULL,
        "refuse an identity from its next message on", NULL, "poolherd identity revoke ann"},
    {"login", "TOKEN", BIT(IDENTITY), true, ph_cli_login, NULL,
        "present an invitation and keep the identity",
        "TOKEN - is read from standard input. The identity is kept in --identity, else\n"
        "$XDG_CONFIG_HOME/poolherd/identity or ~/.config/poolherd/identity, and used from then on.",
        "poolherd login -"},
    {"completion", "SHELL", 0, true, ph_cli_completion, "bash zsh fish",
        "print a completion script for bash, zsh or fish", NULL,
        "poolherd completion bash > /etc/bash_completion.d/poolherd"},
    {"man", NULL, 0, true, ph_cli_man, NULL, "print the man page (troff)", NULL,
        "poolherd man | man -l -"},
    {NULL, NULL, 0, false, NULL, NULL, NULL, NULL, NULL}};
