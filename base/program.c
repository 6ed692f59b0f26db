#include "base/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/program_link.h"
#include "base/text.h"

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

bool ph_program_on_path(const char *name)
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        char directory[PATH_MAX], path[PATH_MAX];
        size_t bytes = strcspn(at, ":");
        ph_text_format(directory, sizeof directory, "%.*s", (int)bytes, at);
        if (bytes > 0 && bytes < sizeof directory &&
            ph_path_join(path, sizeof path, directory, name) == 0 && access(path, X_OK) == 0)
            return true;
        at += bytes + (at[bytes] == ':');
    }
    return false;
}
