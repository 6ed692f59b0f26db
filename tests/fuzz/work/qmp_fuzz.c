/* Bytes of a monitor, in any cuts: messages or an error, and whatever is in them, what the watcher makes of
 * it is a report that its own description allows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/work/watch_parts.h"

static void answer(struct ph_watched *watched, const struct ph_qmp_message *message)
{
    size_t questions = 0;
    while (ph_watch_questions[questions] != NULL)
        questions++;
    if (message->kind == PH_QMP_EVENT)
        (void)ph_watch_event(watched, message->word, message->value);
    else if (message->kind == PH_QMP_RETURN && message->id >= 0 &&
             (uint64_t)message->id < questions)
        (void)ph_watch_answer(watched, (size_t)message->id, message->value);
    else if (message->kind == PH_QMP_RETURN)
        (void)ph_watch_interfaces(watched, message->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_qmp_lines lines = {NULL, 0, 0, 0};
    struct ph_watched watched = {.found = {.name = "vm", .state = PH_VM_RUNNING}};
    struct ph_qmp_message message;
    struct ph_error error;
    size_t cut = size > 0 ? 1 + data[0] : 1;
    int rv = 0;
    for (size_t at = 1; at < size && rv == 0; at += cut) {
        rv = ph_qmp_feed(&lines, (const char *)data + at, size - at < cut ? size - at : cut);
        while (rv == 0 && (rv = ph_qmp_next(&lines, &message, &error)) == 0) {
            answer(&watched, &message);
            ph_qmp_message_fini(&message);
        }
        rv = rv == -EAGAIN ? 0 : rv;
    }
    (void)ph_watch_worth_telling(&watched, 0);
    if (ph_record_check(&ph_record_vm_report, &watched.found, &error) != 0)
        abort();
    ph_record_fini(&ph_record_vm_report, &watched.found);
    ph_qmp_lines_fini(&lines);
    return 0;
}
