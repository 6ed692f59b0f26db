#include "proto/catalogue.h"

#include <string.h>
#include "proto/describe.h"

PH_ENUMS(PH_DEFINE_ENUM)
PH_SETTINGS_RECORDS(PH_DEFINE_RECORD)
PH_RECORDS(PH_DEFINE_RECORD)
PH_VM_SETTINGS_RECORDS(PH_DEFINE_RECORD)
PH_AGENT_RECORDS(PH_DEFINE_RECORD)
PH_OPERATOR_RECORDS(PH_DEFINE_RECORD)
PH_STREAM_RECORDS(PH_DEFINE_RECORD)
PH_CONFIG_RECORDS(PH_DEFINE_RECORD)
PH_DECLARATION_RECORDS(PH_DEFINE_RECORD)
PH_FENCING_RECORDS(PH_DEFINE_RECORD)

#define PH_DESCRIBE_MESSAGE(symbol, type, record, role, bytes_max, doc)                            \
    [symbol] = {type, &ph_record_##record, role, bytes_max, doc},
const struct ph_message_description ph_messages[PH_MESSAGE_TYPES] = {
    PH_MESSAGES(PH_DESCRIBE_MESSAGE)};

int ph_message_type_find(const char *word)
{
    for (int i = 0; i < PH_MESSAGE_TYPES; i++) {
        /* The first letter decides nearly always; beats come thousands a second. */
        if (ph_messages[i].type[0] == word[0] && strcmp(ph_messages[i].type, word) == 0)
            return i;
    }
    return -1;
}
