/* A pid file of any content names a process above 1, or none. */
#include <stdlib.h>
#include <string.h>
#include "agent/work/pid_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pid_t pid = 0;
    uint64_t start_time;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (ph_pid_file_parse(text, "b", &pid, &start_time) == 0 && pid <= 1)
        abort();
    free(text);
    return 0;
}
