#include "agent/serve/settings.h"
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

void ph_machine_boot_id(char *out, size_t size)
{
    out[0] = 0;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file)
        return;
    if (!fgets(out, size > 64 ? 64 : (int)size, file))
        out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    fclose(file);
}

int64_t ph_machine_memory_mib(void)
{
    struct sysinfo machine;
    if (sysinfo(&machine) != 0)
        return 0;
    return (int64_t)((uint64_t)machine.totalram * machine.mem_unit / (1024 * 1024));
}
