#include "proto/container.h"

#include <errno.h>
#include <string.h>
#include "proto/codec.h"
#include "proto/path.h"

static bool absolute(const char *path)
{
    return path[0] == '/' && (path[1] == '\0' || ph_path_in_pool(path + 1));
}

static bool printable(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

bool ph_container_mount_parse(const char *text, struct ph_container_mount *mount_out)
{
    const char *colon = strchr(text, ':');
    size_t bytes = colon == NULL ? 0 : (size_t)(colon - text);
    struct ph_container_mount mount = {.read_only = false};
    if (bytes == 0 || bytes >= sizeof mount.source || !printable(text))
        return false;
    memcpy(mount.source, text, bytes);
    const char *target = colon + 1, *option = strchr(target, ':');
    size_t length = option == NULL ? strlen(target) : (size_t)(option - target);
    if (option != NULL && strcmp(option, ":ro") != 0 && strcmp(option, ":rw") != 0)
        return false;
    if (length < 2 || length >= sizeof mount.target)
        return false;
    memcpy(mount.target, target, length);
    mount.read_only = option != NULL && strcmp(option, ":ro") == 0;
    if (!ph_path_in_pool(mount.source) || !absolute(mount.target))
        return false;
    *mount_out = mount;
    return true;
}

/* Letters, digits, dots and dashes, as host names have them. */
static bool hostname_valid(const char *name)
{
    return name[0] != '-' && name[0] != '.' &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")] ==
               '\0';
}

int ph_container_check(const struct ph_container *container, struct ph_error *error)
{
    const char *root = container->root, *directory = container->directory;
    const char *hostname = container->hostname;
    struct ph_container_mount mount, other;
    char shown[128], field[32];
    if (root != NULL && (!ph_path_in_pool(root) || !printable(root)))
        return ph_error_set(error, PH_BAD_INPUT, "root",
            "\"%s\" must be a directory in the pool, without \"..\"",
            ph_text_printable(shown, sizeof shown, root));
    if (directory != NULL && directory[0] != '\0' &&
        (!absolute(directory) || !printable(directory)))
        return ph_error_set(error, PH_BAD_INPUT, "directory",
            "\"%s\" must be an absolute path in the container, such as /srv",
            ph_text_printable(shown, sizeof shown, directory));
    if (hostname != NULL && !hostname_valid(hostname))
        return ph_error_set(error, PH_BAD_INPUT, "hostname",
            "\"%s\" must be a host name of letters, digits, dots and dashes",
            ph_text_printable(shown, sizeof shown, hostname));
    for (size_t i = 0; i < container->mounts.count; i++) {
        const char *text = container->mounts.items[i];
        ph_text_format(field, sizeof field, "mounts[%zu]", i);
        if (!ph_container_mount_parse(text, &mount))
            return ph_error_set(error, PH_BAD_INPUT, field,
                "\"%s\" must be PATH-IN-POOL:PATH-IN-CONTAINER, as data:/srv/data or etc:/etc:ro",
                ph_text_printable(shown, sizeof shown, text));
        for (size_t j = 0; j < i; j++)
            if (ph_container_mount_parse(container->mounts.items[j], &other) &&
                strcmp(mount.target, other.target) == 0)
                return ph_error_set(
                    error, PH_BAD_INPUT, field, "%s is mounted on twice", mount.target);
    }
    return 0;
}

int ph_container_of(
    const struct ph_vm *vm, struct ph_container *container_out, struct ph_error *error)
{
    const char *text = vm->container == NULL ? "{}" : vm->container;
    return ph_decode(&ph_record_container, text, strlen(text), container_out, error);
}
