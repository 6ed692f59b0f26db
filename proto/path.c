#include "proto/path.h"

#include <string.h>

bool ph_path_in_pool(const char *path)
{
    if (path[0] == '/')
        return false;
    while (*path != '\0') {
        size_t length = strcspn(path, "/");
        if (length == 0 || (length == 1 && path[0] == '.') ||
            (length == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += length;
        if (path[0] == '/' && path[1] == '\0')
            return false;
        path += *path == '/';
    }
    return true;
}
