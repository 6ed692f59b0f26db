/* The guard's table as a file: whatever it holds, reading it ends, and what was read can be written. */
#include <stdlib.h>
#include <string.h>
#include "agent/guard/process.h"
#include "agent/guard/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_guard_table table = {0, 0, NULL, 0}, again = {0, 0, NULL, 0};
    struct ph_process process;
    size_t written;
    int rv = ph_guard_table_decode(&table, "b", (const char *)data, size);
    char *text = ph_guard_table_encode(&table, "b", &written);
    if (text == NULL || ph_guard_table_decode(&again, "b", text, written) != 0 ||
        again.count != table.count)
        abort();
    (void)rv;
    free(text);
    ph_guard_table_fini(&table);
    ph_guard_table_fini(&again);

    char *line = malloc(size + 1);
    if (line != NULL) {
        memcpy(line, data, size);
        line[size] = '\0';
        ph_process_parse(line, &process);
        free(line);
    }
    return 0;
}
