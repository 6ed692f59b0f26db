/*
 * The catalogue, made into C: an enum, a struct and a description for everything in proto/catalogue/.
 * Pure. Adding a record or a message means adding it there and nowhere else.
 */
#ifndef PH_PROTO_CATALOGUE_H
#define PH_PROTO_CATALOGUE_H

#include "proto/record.h"
#include "proto/catalogue/states.h"
#include "proto/catalogue/settings.h"
#include "proto/catalogue/records.h"
#include "proto/catalogue/vm_settings.h"
#include "proto/catalogue/agent_messages.h"
#include "proto/catalogue/operator_messages.h"
#include "proto/catalogue/stream_messages.h"
#include "proto/catalogue/config.h"
#include "proto/catalogue/declaration.h"
#include "proto/catalogue/fencing.h"

/* clang-format lays this table out anew each time. */
/* clang-format off */
#define PH_ENUMS(E)                                                                                \
    E(node_state)                                                                                  \
    E(node_admin)                                                                                  \
    E(pool_state) E(pool_desired) E(failback) E(restart_policy) E(vm_state) E(replica_state)       \
        E(job_kind) E(job_state) E(job_phase) E(role) E(event_level) E(order_kind) E(local_state)  \
            E(proof) E(profile) E(kill_means) E(vm_operation) E(operation_state) E(without_watchdog) E(power_state) E(fence_action) \
            E(file_system) E(disk_format) E(disk_media) E(nic_kind) E(firmware) \
            E(accelerator) E(container_network)
/* clang-format on */

PH_ENUMS(PH_DECLARE_ENUM)
PH_SETTINGS_RECORDS(PH_DECLARE_RECORD)
PH_RECORDS(PH_DECLARE_RECORD)
PH_VM_SETTINGS_RECORDS(PH_DECLARE_RECORD)
PH_AGENT_RECORDS(PH_DECLARE_RECORD)
PH_OPERATOR_RECORDS(PH_DECLARE_RECORD)
PH_STREAM_RECORDS(PH_DECLARE_RECORD)
PH_CONFIG_RECORDS(PH_DECLARE_RECORD)
PH_DECLARATION_RECORDS(PH_DECLARE_RECORD)
PH_FENCING_RECORDS(PH_DECLARE_RECORD)

#define PH_MESSAGES(M)                                                                             \
    PH_AGENT_MESSAGES(M) PH_OPERATOR_MESSAGES(M) PH_STREAM_MESSAGES(M) PH_FENCING_MESSAGES(M)

#define PH_MESSAGE_SYMBOL(symbol, type, record, role, bytes_max, doc) symbol,
enum ph_message_type { PH_MESSAGES(PH_MESSAGE_SYMBOL) PH_MESSAGE_TYPES };

struct ph_message_description {
    const char *type;               /* "node.drain" */
    const struct ph_record *record; /* of the body */
    enum ph_role role;              /* the least the sender must be */
    size_t bytes_max;               /* of the JSON frame */
    const char *doc;
};

extern const struct ph_message_description ph_messages[PH_MESSAGE_TYPES];

/* The type with this word, or -1. */
int ph_message_type_find(const char *word);

#endif
