/*
 * An operator's message finds its handler. See internal.h.
 *
 * Reads that need no live value (query, events) are answered by the shell from the inventory, on
 * connections of its own; their entries are here so that every type has one.
 */
#include "manager/core/request.h"

#include <string.h>

int ph_request_query(struct ph_core *core, const struct ph_event_in *in)
{
    return core_problem(core, in, PH_FAILED, NULL,
        "queries are answered from the inventory, which the core has no access to");
}

int ph_request_events(struct ph_core *core, const struct ph_event_in *in)
{
    return core_problem(core, in, PH_FAILED, NULL,
        "events are answered from the inventory, which the core has no access to");
}

int ph_request_story(struct ph_core *core, const struct ph_event_in *in)
{
    return core_problem(core, in, PH_FAILED, NULL,
        "stories are told from the inventory, which the core has no access to");
}

static core_handler *handler_of(enum ph_message_type type)
{
    static const struct {
        enum ph_message_type type;
        core_handler *handler;
    } table[] = {
        {PH_MSG_JOIN, ph_request_join},
        {PH_MSG_STATUS, ph_request_status},
        {PH_MSG_NODE_LIST, ph_request_node_list},
        {PH_MSG_NODE_SHOW, ph_request_node_show},
        {PH_MSG_INVITE, ph_request_invite},
        {PH_MSG_DRAIN, ph_request_drain},
        {PH_MSG_RESUME, ph_request_resume},
        {PH_MSG_FENCE, ph_request_fence},
        {PH_MSG_FENCE_APPLY, ph_request_fence_apply},
        {PH_MSG_FENCE_LIST, ph_request_fence_list},
        {PH_MSG_FENCE_TEST, ph_request_fence_test},
        {PH_MSG_FENCE_ON, ph_request_fence_on},
        {PH_MSG_RETIRE, ph_request_retire},
        {PH_MSG_APPLY, ph_request_apply},
        {PH_MSG_POOL_LIST, ph_request_pool_list},
        {PH_MSG_POOL_SHOW, ph_request_pool_show},
        {PH_MSG_POOL_MOVE, ph_request_pool_move},
        {PH_MSG_POOL_START, ph_request_pool_start},
        {PH_MSG_POOL_STOP, ph_request_pool_stop},
        {PH_MSG_POOL_REMOVE, ph_request_pool_remove},
        {PH_MSG_DIVERGED_SHOW, ph_request_diverged_show},
        {PH_MSG_DIVERGED_REMOVE, ph_request_diverged_remove},
        {PH_MSG_POOL_VERIFY, ph_request_pool_verify},
        {PH_MSG_POOL_EXPLAIN, ph_request_pool_explain},
        {PH_MSG_VM_LIST, ph_request_vm_list},
        {PH_MSG_VM_SHOW, ph_request_vm_show},
        {PH_MSG_VM_START, ph_request_vm_start},
        {PH_MSG_VM_STOP, ph_request_vm_stop},
        {PH_MSG_VM_OPERATE, ph_request_vm_operate},
        {PH_MSG_JOB_LIST, ph_request_job_list},
        {PH_MSG_JOB_SHOW, ph_request_job_show},
        {PH_MSG_JOB_CANCEL, ph_request_job_cancel},
        {PH_MSG_EVENTS, ph_request_events},
        {PH_MSG_STORY, ph_request_story},
        {PH_MSG_DOCTOR, ph_request_doctor},
        {PH_MSG_QUERY, ph_request_query},
        {PH_MSG_IDENTITY_LIST, ph_request_identity_list},
        {PH_MSG_IDENTITY_REVOKE, ph_request_identity_revoke},
        {PH_MSG_PAUSE, ph_request_pause},
        {PH_MSG_UNPAUSE, ph_request_unpause},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].type == type)
            return table[i].handler;
    }
    return NULL;
}

int ph_request_handle(struct ph_core *core, const struct ph_event_in *in)
{
    core_handler *handler = handler_of(in->type);

    if (handler == NULL)
        return core_problem(core, in, PH_BAD_INPUT, "type",
            "%s is not something to ask of a manager",
            (size_t)in->type < PH_MESSAGE_TYPES ? ph_messages[in->type].type : "this");
    /* The shell has looked at the role too; a second lock on the same door costs nothing. */
    if (in->role < ph_messages[in->type].role)
        return core_problem(core, in, PH_NOT_ALLOWED, NULL, "%s needs the role %s; %s has %s",
            ph_messages[in->type].type,
            ph_enum_word(&ph_enum_role, (int)ph_messages[in->type].role),
            in->sender[0] != '\0' ? in->sender : "the sender",
            ph_enum_word(&ph_enum_role, (int)in->role));
    return handler(core, in);
}

/* ---- texts ---- */
const char *core_text(const char *text)
{
    return text == NULL ? "" : text;
}

void core_copy_text(struct ph_core *core, char **member, const char *text)
{
    if (ph_set_text(member, text) != 0)
        core->no_memory = true;
}

void core_copy_texts(struct ph_core *core, struct ph_texts *to, const struct ph_texts *from)
{
    if (ph_texts_copy(to, from) != 0)
        core->no_memory = true;
}

void core_names_add(struct core_names *names, const char *name)
{
    names->count++;
    /* Those after the first that has no room are only counted; the space kept is for that count. */
    if (names->said + 1 < names->count || names->length + strlen(name) + 32 > sizeof names->text)
        return;
    names->length += ph_text_format(names->text + names->length, sizeof names->text - names->length,
        "%s%s", names->length > 0 ? ", " : "", name);
    names->said++;
}

const char *core_names_said(struct core_names *names)
{
    if (names->said < names->count)
        ph_text_format(names->text + names->length, sizeof names->text - names->length,
            " and %zu more", names->count - names->said);
    return names->text;
}
