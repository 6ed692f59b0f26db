/* Any file, as a pool.apply and as each configuration: refused with file and line, or read. */
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "proto/catalogue.h"
#include "proto/codec.h"
#include "proto/yaml.h"

static void read_as(const struct ph_record *record, const struct ph_yaml *root)
{
    struct ph_error error = {.code = PH_OK};
    void *value = calloc(1, record->size), *back = calloc(1, record->size);
    size_t bytes;
    char *text;

    ph_assert(value != NULL && back != NULL);
    if (ph_yaml_decode(record, root, "fuzz.yaml", value, &error) == 0) {
        ph_assert(ph_record_check(record, value, &error) == 0);
        ph_assert(ph_encode(record, value, PH_ENCODE_WIRE, &text, &bytes) == 0);
        ph_assert(ph_decode(record, text, bytes, back, &error) == 0);
        ph_assert(ph_record_equal(record, value, back));
        free(text);
    } else {
        ph_assert(strncmp(error.field, "fuzz.yaml:", 10) == 0 && error.message[0] != '\0');
        ph_assert(ph_utf8_valid(error.message, strlen(error.message)));
    }
    ph_record_destroy(record, &value);
    ph_record_destroy(record, &back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_error error = {.code = PH_OK};
    struct ph_yaml *root;

    if (ph_yaml_parse((const char *)data, size, "fuzz.yaml", &root, &error) != 0) {
        ph_assert(root == NULL && strncmp(error.field, "fuzz.yaml:", 10) == 0);
        return 0;
    }
    read_as(&ph_record_declaration, root);
    read_as(&ph_record_apply, root);
    read_as(&ph_record_manager_config, root);
    read_as(&ph_record_agent_config, root);
    read_as(&ph_record_pool_view, root);
    ph_yaml_destroy(&root);
    return 0;
}
