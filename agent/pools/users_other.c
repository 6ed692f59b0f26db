#include "agent/pools/users.h"

int ph_path_writers(const char *path, char *text_out, size_t size)
{
    (void)path;
    if (size > 0)
        text_out[0] = '\0';
    return 0;
}

void ph_program_directory(char *out, size_t size)
{
    if (size > 0)
        out[0] = '\0';
}
