#include "base/program.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/program_link.h"

int ph_program_beside(const char *name, char path_out[PATH_MAX])
{
    char own[PATH_MAX], path[PATH_MAX];
    ssize_t bytes = readlink(ph_program_link, own, sizeof own - 1);
    if (bytes < 0)
        return -errno;
    own[bytes] = '\0';
    char *slash = strrchr(own, '/');
    if (slash == NULL)
        return -ENOENT;
    *slash = '\0';
    int rv = ph_path_join(path, sizeof path, own, name);
    if (rv != 0)
        return rv;
    if (access(path, X_OK) != 0)
        return -ENOENT;
    memcpy(path_out, path, PATH_MAX);
    return 0;
}
