#include "proto/resource.h"

#include <errno.h>
#include <string.h>
#include "proto/codec.h"

static bool word_valid(const char *text, size_t bytes)
{
    return bytes > 0 && text[0] != '.' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") >=
               bytes;
}

static bool agent_valid(const char *agent)
{
    const char *provider = strncmp(agent, "ocf:", 4) == 0 ? agent + 4 : NULL;
    const char *colon = provider == NULL ? NULL : strchr(provider, ':');
    return colon != NULL && word_valid(provider, (size_t)(colon - provider)) &&
           word_valid(colon + 1, strlen(colon + 1));
}

int ph_resource_check(const struct ph_resource *resource, struct ph_error *error)
{
    const char *agent = resource->agent == NULL ? "" : resource->agent;
    char shown[128], field[32];
    if (!agent_valid(agent))
        return ph_error_set(error, PH_BAD_INPUT, "agent",
            "\"%s\" is no resource agent; one is ocf:PROVIDER:TYPE, such as ocf:heartbeat:IPaddr2",
            ph_text_printable(shown, sizeof shown, agent));
    for (size_t i = 0; i < resource->parameters.count; i++) {
        const char *text = resource->parameters.items[i];
        size_t bytes = strcspn(text, "=");
        ph_text_format(field, sizeof field, "parameters[%zu]", i);
        if (text[bytes] != '=' || !word_valid(text, bytes) || strchr(text, '\n') != NULL)
            return ph_error_set(error, PH_BAD_INPUT, field,
                "\"%s\" must be NAME=value in one line, NAME as the agent's metadata has it",
                ph_text_printable(shown, sizeof shown, text));
        for (size_t j = 0; j < i; j++)
            if (strncmp(resource->parameters.items[j], text, bytes + 1) == 0)
                return ph_error_set(error, PH_BAD_INPUT, field, "%.*s is given twice",
                    (int)(bytes < 64 ? bytes : 64), text);
    }
    return 0;
}

int ph_resource_of(const struct ph_vm *vm, struct ph_resource *resource_out, struct ph_error *error)
{
    if (vm->ocf == NULL)
        return ph_error_set(error, PH_BAD_INPUT, "ocf", "a VM of kind ocf needs a section ocf");
    return ph_decode(&ph_record_resource, vm->ocf, strlen(vm->ocf), resource_out, error);
}
