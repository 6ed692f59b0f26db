#include "agent/serve/settings.h"

void ph_machine_boot_id(char *out, size_t size)
{
    (void)size;
    out[0] = 0;
}

/* 0: unknown, so placement sets no limit; the configuration may say. */
int64_t ph_machine_memory_mib(void)
{
    return 0;
}
