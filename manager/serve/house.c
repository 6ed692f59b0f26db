#include "manager/serve/house.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"

static int house_error(struct ph_error *error, const char *what, const char *path, int rv)
{
    ph_error_set(error, PH_FAILED, "dir", "cannot %s %s: %s", what, path, strerror(-rv));
    return rv;
}

static int house_path(
    const struct serve_house *house, const char *name, char *out, struct ph_error *error)
{
    int rv = ph_path_join(out, SERVE_PATH_BYTES, house->directory, name);

    return rv == 0 ? 0 : house_error(error, "use", house->directory, rv);
}

/* Keys lie in it, so nobody else may write there. */
static int directory_check(const char *directory, struct ph_error *error)
{
    struct stat status;

    if (stat(directory, &status) != 0) {
        return house_error(error, "use", directory, -errno);
    }
    if (!S_ISDIR(status.st_mode)) {
        return house_error(error, "use", directory, -ENOTDIR);
    }
    if (status.st_uid != geteuid()) {
        return ph_error_set(error, PH_NOT_ALLOWED, "dir",
            "%s belongs to user %lu and not to the user the manager runs as (%lu)", directory,
            (unsigned long)status.st_uid, (unsigned long)geteuid());
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return ph_error_set(error, PH_NOT_ALLOWED, "dir",
            "others can write in %s (mode %04o): it must be 0700", directory,
            (unsigned)(status.st_mode & 07777));
    }
    return 0;
}

static int lock_take(struct serve_house *house, struct ph_error *error)
{
    char path[SERVE_PATH_BYTES];
    pid_t holder = 0;
    int rv = house_path(house, "lock", path, error);

    if (rv != 0) {
        return rv;
    }
    rv = ph_lock_take(path, &house->lock_fd, &holder);
    if (rv == -EWOULDBLOCK) {
        house->lock_fd = -1;
        ph_error_set(error, PH_STATE_FORBIDS, "dir",
            "another manager (pid %ld) already runs on %s: stop it first", (long)holder,
            house->directory);
        return rv;
    }
    if (rv != 0) {
        house->lock_fd = -1;
        return house_error(error, "lock", path, rv);
    }
    return 0;
}

/* Loads an identity, or makes and stores a new one. */
static int identity_get(struct serve_house *house, const char *file, const char *name,
    bool may_make, struct ph_identity_file *identity, struct ph_error *error)
{
    char path[SERVE_PATH_BYTES];
    int rv = house_path(house, file, path, error);

    if (rv != 0) {
        return rv;
    }
    if (access(path, F_OK) == 0) {
        return ph_identity_load(path, identity, error);
    }
    if (errno != ENOENT) {
        return house_error(error, "read", path, -errno);
    }
    if (!may_make) {
        ph_error_set(error, PH_FAILED, "dir",
            "%s is missing while there is an inventory: agents know the manager by the key in it, "
            "so "
            "put it back from a backup",
            path);
        return -ENOENT;
    }
    rv = ph_identity_make(name, identity);
    if (rv == 0) {
        rv = ph_identity_save(path, identity);
    }
    return rv == 0 ? 0 : house_error(error, "store", path, rv);
}

static void endpoint_read(struct serve_house *house)
{
    char path[SERVE_PATH_BYTES], *text = NULL;
    size_t bytes = 0;

    if (house_path(house, "endpoint", path, NULL) == 0 &&
        ph_file_read(path, sizeof house->endpoint - 1, &text, &bytes) == 0) {
        text[strcspn(text, "\r\n")] = '\0';
        ph_text_format(house->endpoint, sizeof house->endpoint, "%s", text);
    }
    free(text);
}

int serve_house_open(const char *directory, struct serve_house *house, struct ph_error *error)
{
    int rv;

    memset(house, 0, sizeof *house);
    house->lock_fd = -1;
    if (strlen(directory) + 32 >= sizeof house->directory) {
        return house_error(error, "use", "the directory", -ENAMETOOLONG);
    }
    ph_text_format(house->directory, sizeof house->directory, "%s", directory);
    rv = ph_directory_make(directory);
    if (rv != 0) {
        return house_error(error, "make the directory", directory, rv);
    }
    rv = directory_check(directory, error);
    if (rv == 0) {
        rv = lock_take(house, error);
    }
    if (rv == 0) {
        rv = house_path(house, "inventory.db", house->database, error);
    }
    if (rv == 0) {
        rv = identity_get(house, "manager.identity", "manager", access(house->database, F_OK) != 0,
            &house->manager, error);
    }
    if (rv == 0) {
        rv = identity_get(house, "admin.identity", SERVE_ADMIN, true, &house->admin, error);
    }
    if (rv == 0) {
        endpoint_read(house);
    } else {
        serve_house_close(house);
    }
    return rv;
}

void serve_house_close(struct serve_house *house)
{
    if (house->lock_fd >= 0) {
        close(house->lock_fd);
    }
    memset(house, 0, sizeof *house);
    house->lock_fd = -1;
}

int serve_house_announce(struct serve_house *house, const char *endpoint, struct ph_error *error)
{
    char path[SERVE_PATH_BYTES], line[300], reachable[256];
    struct ph_identity_file *admin = &house->admin;
    int rv;

    serve_endpoint_reachable(endpoint, false, reachable, sizeof reachable);
    if (strcmp(house->endpoint, reachable) != 0) {
        size_t bytes = ph_text_format(line, sizeof line, "%s\n", reachable);

        rv = house_path(house, "endpoint", path, error);
        if (rv == 0) {
            rv = ph_file_replace(path, line, bytes, 0644);
        }
        if (rv != 0) {
            return house_error(error, "store", path, rv);
        }
        ph_text_format(house->endpoint, sizeof house->endpoint, "%s", reachable);
    }
    if (strcmp(admin->manager_endpoint, reachable) != 0 ||
        strcmp(admin->manager_key, house->manager.public_key) != 0) {
        ph_text_format(admin->manager_endpoint, sizeof admin->manager_endpoint, "%s", reachable);
        ph_text_format(
            admin->manager_key, sizeof admin->manager_key, "%s", house->manager.public_key);
        rv = house_path(house, "admin.identity", path, error);
        if (rv == 0) {
            rv = ph_identity_save(path, admin);
        }
        if (rv != 0) {
            return house_error(error, "store", path, rv);
        }
    }
    return 0;
}

void serve_endpoint_reachable(const char *endpoint, bool far, char *out, size_t size)
{
    static const char *const everywhere[] = {"tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"};
    char host[128] = "";
    size_t i;

    for (i = 0; i < sizeof everywhere / sizeof everywhere[0]; i++) {
        if (strncmp(endpoint, everywhere[i], strlen(everywhere[i])) == 0) {
            const char *port = endpoint + strlen(everywhere[i]);

            if (!far || gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') {
                ph_text_format(host, sizeof host, "127.0.0.1");
            }
            ph_text_format(out, size, "tcp://%s:%s", host, port);
            return;
        }
    }
    ph_text_format(out, size, "%s", endpoint);
}
