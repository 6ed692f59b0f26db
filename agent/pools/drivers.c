#include "agent/pools/drivers.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/pools/users.h"
#include "base/text.h"

const struct ph_pool_driver *const ph_pool_drivers[] = {&ph_pool_driver_directory,
    &ph_pool_driver_btrfs, &ph_pool_driver_image, &ph_pool_driver_shared, &ph_pool_driver_ocf,
    NULL};

static char helper[PATH_MAX];

const struct ph_pool_driver *ph_pool_driver_find(const char *name)
{
    for (size_t i = 0; ph_pool_drivers[i] != NULL; i++)
        if (strcmp(ph_pool_drivers[i]->name, name) == 0)
            return ph_pool_drivers[i];
    return NULL;
}

void ph_pools_set_pipe(const char *path)
{
    ph_text_format(helper, sizeof helper, "%s", path);
}

static int found(const char *directory, size_t bytes, const char *below, char *out, size_t size)
{
    size_t used = ph_text_format(out, size, "%.*s%s/poolherd-pipe", (int)bytes, directory, below);

    return used < size - 1 && bytes > 0 && access(out, X_OK) == 0 ? 0 : -ENOENT;
}

int ph_pipe_find(char *out, size_t size)
{
    char here[PATH_MAX];
    const char *path = getenv("PATH");

    if (helper[0] != '\0') {
        ph_text_format(out, size, "%s", helper);
        return access(out, X_OK) == 0 ? 0 : -ENOENT;
    }
    ph_program_directory(here, sizeof here);
    if (found(here, strlen(here), "", out, size) == 0 ||
        found(here, strlen(here), "/..", out, size) == 0)
        return 0;
    while (path != NULL && *path != '\0') {
        size_t bytes = strcspn(path, ":");
        if (*path == '/' && found(path, bytes, "", out, size) == 0)
            return 0;
        path += bytes + (path[bytes] == ':');
    }
    return -ENOENT;
}
