/* poolherd-describe: prints docs/protocol.md from the catalogue. Built, not installed; the test
 * docs/protocol compares what it prints with the file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "proto/catalogue.h"

#define ONE_BYTE(symbol, type, record, role, bytes_max, doc) char of_##symbol;
#define LIST_RECORD(name) &ph_record_##name,

static const struct ph_record *const stored[] = {PH_RECORDS(LIST_RECORD)};
static const struct ph_record *const said_by_agents[] = {PH_AGENT_RECORDS(LIST_RECORD)};
static const struct ph_record *const said_by_operators[] = {PH_OPERATOR_RECORDS(LIST_RECORD)};
static const struct ph_record *const said_in_streams[] = {PH_STREAM_RECORDS(LIST_RECORD)};
static const struct ph_record *const declared[] = {PH_DECLARATION_RECORDS(LIST_RECORD)};
static const struct ph_record *const fencing[] = {PH_FENCING_RECORDS(LIST_RECORD)};
static const struct ph_record *const set[] = {PH_SETTINGS_RECORDS(LIST_RECORD)};
static const struct ph_record *const equipped[] = {PH_VM_SETTINGS_RECORDS(LIST_RECORD)};
static const struct ph_record *const configured[] = {PH_CONFIG_RECORDS(LIST_RECORD)};

#define LIST_ENUM(name) &ph_enum_##name,
static const struct ph_enum *const enums[] = {PH_ENUMS(LIST_ENUM)};

/* A byte for each message, so that their sizes are the numbers of messages. */
struct agent_messages {
    PH_AGENT_MESSAGES(ONE_BYTE)
};
struct operator_messages {
    PH_OPERATOR_MESSAGES(ONE_BYTE)
};
struct stream_messages {
    PH_STREAM_MESSAGES(ONE_BYTE)
};
enum {
    AGENT_MESSAGES = sizeof(struct agent_messages),
    OPERATOR_MESSAGES = sizeof(struct operator_messages),
    STREAM_MESSAGES = sizeof(struct stream_messages)
};

/* clang-format off: the lines are the page's */
static const char *const introduction =
    "# Protocol\n\n"
    "<!-- Printed by poolherd-describe from proto/catalogue/; do not edit. To bring it up to "
    "date:\n"
    "     BUILD/poolherd-describe > docs/protocol.md -->\n\n"
    "What manager, agents and operators say to each other. What each side does with it is in\n"
    "[conversation.md](conversation.md).\n\n"
    "## Transport\n\n"
    "ZeroMQ with CURVE (RFC 26/ZMTP-CURVE), always: nothing is accepted in clear. The manager "
    "binds a\n"
    "ROUTER, agents and operators connect DEALERs; between agents the receiver of copies binds. "
    "The\n"
    "CURVE key is the identity: a key the inventory does not know may send `join` and nothing "
    "else,\n"
    "and key, revocation and role are checked at every message.\n\n"
    "## Envelope\n\n"
    "One frame of JSON in UTF-8, sometimes followed by one frame of raw bytes (`rows`, "
    "`stream.data`):\n\n"
    "    {\"type\":\"beat\",\"id\":7,\"body\":{...}}\n\n"
    "- `id` is the asker's number (0 or more) and is echoed by the answer. 0 or absent: none "
    "awaited.\n"
    "- An unknown type, a wrong body or a message over its type's size is answered with "
    "`problem`,\n"
    "  which names the field and what would be right.\n"
    "- Keys that are not known are ignored, so that versions can be mixed. Keys given twice are "
    "refused.\n"
    "- A field that may be absent may be left out when it is zero, false, empty or the enum's "
    "first word.\n"
    "- Integers are whole numbers without fraction or exponent, of 64 bits.\n";
/* clang-format on */

static void print_limits(void)
{
    printf("- At most %d bytes in a frame, %d levels of nesting, %d values in one JSON text.\n",
        PH_MESSAGE_BYTES_MAX, PH_JSON_DEPTH_MAX, PH_JSON_VALUES_MAX);
    printf("- A frame of more than %d bytes must begin with `{\"type\":\"TYPE\"`, so that the size "
           "its\n"
           "  type allows is known before it is parsed.\n",
        PH_MESSAGE_BYTES_USUAL);
}

static void print_roles(void)
{
    printf("\n## Roles\n\nEach includes the ones above it, but an agent is no viewer: roles from "
           "`viewer` up are for people.\n\n| role | |\n| --- | --- |\n");
    for (size_t i = 0; i < ph_enum_role.count; i++)
        printf("| `%s` | %s |\n", ph_enum_role.words[i], ph_enum_role.docs[i]);
}

static const char *sender(const struct ph_message_description *message)
{
    if (message->role != PH_ROLE_NONE)
        return ph_enum_word(&ph_enum_role, (int)message->role);
    return strcmp(message->type, "join") == 0 ? "anyone" : "manager";
}

static void print_messages(const char *title, int first, int count)
{
    printf("\n### %s\n\n| type | least sender | body | most bytes | |\n"
           "| --- | --- | --- | ---: | --- |\n",
        title);
    for (int i = first; i < first + count; i++) {
        const struct ph_message_description *message = &ph_messages[i];
        printf("| `%s` | %s | [%s](#%s) | %zu | %s |\n", message->type, sender(message),
            message->record->name, message->record->name, message->bytes_max, message->doc);
    }
}

static void print_range(const struct ph_field *field, const char *unit)
{
    if (field->max == INT64_MAX && field->min == INT64_MIN)
        printf("any");
    else if (field->max == INT64_MAX)
        printf("%" PRId64 " or more%s", field->min, unit);
    else
        printf("%" PRId64 " to %" PRId64 "%s", field->min, field->max, unit);
}

/* Kind and limits of a field, as two cells. */
static void print_kind(const struct ph_field *field)
{
    switch (field->kind) {
    case PH_FIELD_NAME:
        printf("name | ");
        break;
    case PH_FIELD_TEXT:
        printf("text | ");
        print_range(field, " bytes");
        break;
    case PH_FIELD_INT:
        printf("integer | ");
        print_range(field, "");
        break;
    case PH_FIELD_BOOL:
        printf("true or false | ");
        break;
    case PH_FIELD_ENUM:
        printf("[%s](#words-%s) | ", field->enumeration->name, field->enumeration->name);
        break;
    case PH_FIELD_TEXTS:
        printf("array of texts | %" PRId64 " to %" PRId64 " items", field->min, field->max);
        break;
    case PH_FIELD_JSON:
        printf("any JSON | at most %" PRId64 " bytes", field->max);
        break;
    case PH_FIELD_ONE:
        printf("[%s](#%s) | ", field->record->name, field->record->name);
        break;
    case PH_FIELD_MANY:
        printf("array of [%s](#%s) | %" PRId64 " to %" PRId64 " items", field->record->name,
            field->record->name, field->min, field->max);
        break;
    }
}

static const char *presence(const struct ph_field *field)
{
    if ((field->flags & PH_KEY) == PH_KEY)
        return "key";
    return (field->flags & PH_REQ) != 0 ? "required" : "";
}

static void print_records(
    const char *title, const char *about, const struct ph_record *const *records, size_t count)
{
    printf("\n## %s\n\n%s\n", title, about);
    for (size_t i = 0; i < count; i++) {
        const struct ph_record *record = records[i];
        printf("\n<a id=\"%s\"></a>\n### %s\n\n", record->name, record->name);
        printf("| field | kind | limits | | |\n| --- | --- | --- | --- | --- |\n");
        for (size_t j = 0; j < record->field_count; j++) {
            const struct ph_field *field = &record->fields[j];
            printf("| `%s` | ", field->name);
            print_kind(field);
            printf(" | %s | %s%s |\n", presence(field), field->doc,
                (field->flags & PH_SECRET) != 0 ? " (secret: in no view, log or `--json`)" : "");
        }
    }
}

static void print_enums(void)
{
    printf(
        "\n## Words\n\nEvery enum on the wire, in the inventory and in `--json`. The first word is "
        "what an absent field means.\n");
    for (size_t i = 0; i < sizeof enums / sizeof enums[0]; i++) {
        printf("\n<a id=\"words-%s\"></a>\n### %s\n\n| word | |\n| --- | --- |\n", enums[i]->name,
            enums[i]->name);
        for (size_t j = 0; j < enums[i]->count; j++)
            printf("| `%s` | %s |\n", enums[i]->words[j], enums[i]->docs[j]);
    }
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

int main(void)
{
    fputs(introduction, stdout);
    print_limits();
    print_roles();
    printf("\n## Messages\n\nThe least sender is the least role the sender's key must have; "
           "`manager`: "
           "accepted by an agent or\nan operator from its manager's key alone.\n");
    print_messages("Manager and agents", 0, AGENT_MESSAGES);
    print_messages("Operators and manager", AGENT_MESSAGES, OPERATOR_MESSAGES);
    print_messages(
        "Between agents: the data channel", AGENT_MESSAGES + OPERATOR_MESSAGES, STREAM_MESSAGES);
    print_messages("Fencing", AGENT_MESSAGES + OPERATOR_MESSAGES + STREAM_MESSAGES,
        PH_MESSAGE_TYPES - AGENT_MESSAGES - OPERATOR_MESSAGES - STREAM_MESSAGES);
    printf("\nA name has 1 to %d of a-z, 0-9, '.', '_', '-' and begins with a letter or digit; "
           "where it "
           "is not\nrequired it may be empty. Items of arrays of texts have at most %d bytes.\n",
        PH_NAME_BYTES_MAX, PH_ARGUMENT_BYTES_MAX);
    print_records("Bodies: manager and agents",
        "Durations end in `_ms`. `boot_ms` is CLOCK_BOOTTIME of the machine that wrote it and "
        "means "
        "nothing elsewhere.",
        said_by_agents, COUNT(said_by_agents));
    print_records("Bodies: operators and manager", "The answers' records are what `--json` prints.",
        said_by_operators, COUNT(said_by_operators));
    print_records("Bodies: the data channel", "The bytes travel in a second frame.",
        said_in_streams, COUNT(said_in_streams));
    print_records("Fencing",
        "A file for `poolherd fence apply` is a [fencing_declaration](#fencing_declaration); the "
        "inventory keeps [fence_device](#fence_device).",
        fencing, COUNT(fencing));
    print_records("Records of the inventory",
        "Tables have these names with an s. Times are wall clock milliseconds since 1970, for "
        "people.",
        stored, COUNT(stored));
    print_records("Settings of pool drivers",
        "Each stands under its driver's name in a declaration; the inventory keeps them as "
        "`pool.settings`.",
        set, COUNT(set));
    print_records("Settings of VMs",
        "What one kind of VM has beyond what each has: a section of its declaration, a column of "
        "the inventory.",
        equipped, COUNT(equipped));
    print_records("Declarations",
        "How people write pools down, in YAML or JSON: a file for `poolherd pool apply` is a\n"
        "[declaration](#declaration).",
        declared, COUNT(declared));
    print_records("Configuration files",
        "YAML; what a file does not name keeps its default, an unknown key is an error.",
        configured, COUNT(configured));
    print_enums();
    return ferror(stdout) != 0 || fflush(stdout) != 0;
}
