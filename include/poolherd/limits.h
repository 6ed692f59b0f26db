/*
 * Every limit of Poolherd in one place. Pure; includes nothing.
 *
 * A limit is part of the interface: exceeding one is bad input and is answered with an error that
 * names the field, the value and the limit. Units stand last in a name.
 */
#ifndef POOLHERD_LIMITS_H
#define POOLHERD_LIMITS_H

/* Names of nodes, pools, vms, identities: [a-z0-9] first, then [a-z0-9._-]; see ph_name_check(). */
#define PH_NAME_BYTES_MAX 63
#define PH_TEXT_BYTES_MAX 1024     /* a reason, a message, an endpoint */
#define PH_ARGUMENT_BYTES_MAX 4096 /* one word of a command line */
#define PH_ARGUMENTS_MAX 256       /* words in one command line */
#define PH_KEY_BYTES 40            /* a CURVE key in Z85, without its terminator */
#define PH_TOKEN_BYTES_MAX 512     /* an invitation as printed */
#define PH_SQL_BYTES_MAX (64 * 1024)

#define PH_NODES_MAX 20000
#define PH_POOLS_MAX 100000
#define PH_VMS_PER_POOL_MAX 256
#define PH_OPERATIONS_MAX 64                  /* on VMs of one pool that its node has been sent */
#define PH_OPERATION_RESULT_BYTES_MAX 8192    /* so that a report of all has room for them */
#define PH_VM_SETTINGS_BYTES_MAX (256 * 1024) /* of one VM, as JSON */
#define PH_VM_SETTINGS_OF_POOL_BYTES_MAX (2 * 1024 * 1024)
#define PH_CONTAINER_MOUNTS_MAX 32
#define PH_VM_DISKS_MAX 16
#define PH_VM_NICS_MAX 8
#define PH_CLOUD_INIT_BYTES_MAX (64 * 1024)
#define PH_COPIES_MAX 7                /* copies of one pool beside the active one */
#define PH_VERSION_MAX (INT64_MAX / 2) /* of a voter set: leaves room to count on */
#define PH_WITNESSES_MAX 4 /* of one node: voter sets have up to 5 members, itself one */
#define PH_SERVED_MAX 64   /* nodes that one node is a witness for */
#define PH_LABELS_MAX 64
#define PH_SETTINGS_BYTES_MAX (32 * 1024) /* of a pool's driver */
#define PH_RELATIONS_MAX 64               /* names in together/apart/allow/prefer */
#define PH_LIST_ITEMS_MAX 200000          /* items of one list in one message */

#define PH_STORY_STEPS_MAX 10000 /* events in the story of one job */
#define PH_STORY_JOBS_MAX 10000  /* jobs named in it */
#define PH_FENCE_DEVICES_MAX 16  /* of one node */
#define PH_FENCE_LEVELS_MAX 9
#define PH_FENCE_OPTIONS_MAX 64 /* of one device */
#define PH_FENCE_PLACES_MAX 16  /* from where one device can be reached */

/* Wire. A type's own limit stands in the catalogue; this is the most any frame may have. */
#define PH_MESSAGE_BYTES_MAX (32 * 1024 * 1024)
#define PH_MESSAGE_BYTES_USUAL (64 * 1024)
#define PH_STRANGERS_MAX 64                 /* unknown keys let in within PH_STRANGER_MS */
#define PH_STRANGER_MS 15000                /* how long such a connection lasts */
#define PH_STRANGER_BYTES_MAX (1024 * 1024) /* what it may say */
#define PH_JSON_DEPTH_MAX 32
#define PH_JSON_VALUES_MAX 4000000 /* values in one JSON or YAML text */

/* Data channel between agents. */
#define PH_STREAM_CHUNK_BYTES (256 * 1024)
#define PH_STREAM_CREDIT_BYTES (8 * 1024 * 1024)
#define PH_STREAM_CONNECT_TIMEOUT_MS 10000
#define PH_STREAM_IDLE_MS 10000 /* a peer silent for longer is gone (it speaks every second) */
#define PH_STREAMS_MAX 64       /* streams open at one holder */
#define PH_DIVERGED_MAX 1000    /* set-aside data of former owners, of one node */
#define PH_LINEAGE_MAX 16       /* earlier points of a pool's data that are remembered */

/* Time. */
#define PH_BEAT_MS_MIN 20
#define PH_STOP_MS_USUAL 500 /* before a manager has said otherwise */
#define PH_LEASE_MS_MAX (10 * 60 * 1000)
#define PH_REQUEST_TIMEOUT_MS 30000
#define PH_QUERY_TIMEOUT_MS 10000
#define PH_QUERY_ROWS_MAX 1000000
#define PH_INVITATION_S (24 * 3600)

/* Children and logs. */
#define PH_CHILD_OUTPUT_BYTES_MAX (64 * 1024)
#define PH_WORKLOAD_LOG_BYTES_MAX (1024 * 1024)

#endif
