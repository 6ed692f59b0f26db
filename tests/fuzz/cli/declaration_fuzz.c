/* Declarations of pools and of fence devices as people write them: whatever the bytes, an answer and no crash. */
#include <stddef.h>
#include <stdint.h>
#include "cli/declaration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_apply apply = {0};
    struct ph_yaml *root = NULL;
    struct ph_error error = {0};

    if (ph_declaration_parse((const char *)data, size, "fuzz", &apply.pools, &root, &error) == 0) {
        ph_error_set(&error, PH_BAD_INPUT, "pools[0].cpu", "a complaint of the manager's");
        ph_declaration_locate(root, "fuzz", &error);
    }
    ph_record_fini(&ph_record_apply, &apply);
    ph_yaml_destroy(&root);
    struct ph_fence_apply fencing = {0};
    if (ph_declaration_parse_fencing(
            (const char *)data, size, "fuzz", &fencing.fencing, &root, &error) == 0) {
        ph_error_set(&error, PH_BAD_INPUT, "fencing[0].devices[1].options[0]", "another one");
        ph_declaration_locate(root, "fuzz", &error);
    }
    ph_record_fini(&ph_record_fence_apply, &fencing);
    ph_yaml_destroy(&root);
    return 0;
}
