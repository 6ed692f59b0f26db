/*
 * Where is the manager, and who am I? Explicit argument, environment, configuration file, default.
 */
#include "proto/wire/client_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>
#include "base/file.h"
#include "proto/yaml.h"

#define DEFAULT_MANAGER "/var/lib/poolherd/manager"
#define PATH_BYTES 4096

void ph_client_identity_forget(struct ph_identity_file *identity)
{
    sodium_memzero(identity, sizeof *identity);
}

/* root may use anybody's files (a manager under its own user, asked about by root). */
static bool owner_trusted(uid_t owner)
{
    uid_t self = geteuid();

    return owner == self || owner == 0 || self == 0;
}

/* The directory decides who can put another file in the place of the identity. */
static int directory_check(const char *path, struct ph_error *error)
{
    char directory[PATH_BYTES];
    struct stat status;
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        ph_text_format(directory, sizeof directory, ".");
    } else {
        ph_text_format(
            directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    }
    if (stat(directory, &status) != 0) {
        return 0; /* the file itself will say what is wrong */
    }
    if (!owner_trusted(status.st_uid) ||
        ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0)) {
        return ph_error_set(error, PH_NOT_ALLOWED, "identity",
            "others can replace files in %s (mode %04o): an identity must lie in a directory that "
            "only you can write, chmod go-w it",
            directory, (unsigned)(status.st_mode & 07777));
    }
    return 0;
}

int ph_client_identity_load(
    const char *path, struct ph_identity_file *identity_out, struct ph_error *error)
{
    struct stat status;

    if (lstat(path, &status) != 0) {
        enum ph_code code = errno == ENOENT || errno == ENOTDIR ? PH_NOT_FOUND
                            : errno == EACCES                   ? PH_NOT_ALLOWED
                                                                : PH_FAILED;

        return ph_error_set(
            error, code, "identity", "cannot use the identity file %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return ph_error_set(error, PH_NOT_ALLOWED, "identity",
            "%s is not a regular file: an identity must be one, not a link", path);
    }
    if (!owner_trusted(status.st_uid)) {
        return ph_error_set(error, PH_NOT_ALLOWED, "identity",
            "%s belongs to user %lu: an identity must belong to you (or root)", path,
            (unsigned long)status.st_uid);
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return ph_error_set(error, PH_NOT_ALLOWED, "identity",
            "%s has mode %04o: others can read the key in it, it must be 0600", path,
            (unsigned)(status.st_mode & 07777));
    }
    if (access(path, R_OK) != 0) {
        return ph_error_set(error, PH_NOT_ALLOWED, "identity",
            "cannot read the identity file %s: %s", path, strerror(errno));
    }
    if (directory_check(path, error) != 0) {
        return -EPERM;
    }
    return ph_identity_load(path, identity_out, error);
}

static int config_read(const char *path, struct ph_client_config *config, struct ph_error *error)
{
    struct ph_yaml *root = NULL;
    int rv = ph_yaml_read(path, &root, error);

    if (rv == 0) {
        rv = ph_yaml_decode(&ph_record_client_config, root, path, config, error);
    }
    ph_yaml_destroy(&root);
    return rv;
}

/* The first configuration file there is. 0 when there is none: config stays empty. */
static int config_find(struct ph_client_config *config, struct ph_error *error)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char paths[3][PATH_BYTES] = {"", "", "/etc/poolherd/config.yaml"};
    size_t i;

    if (xdg != NULL && xdg[0] == '/') {
        ph_text_format(paths[0], PATH_BYTES, "%s/poolherd/config.yaml", xdg);
    }
    if (home != NULL && home[0] == '/') {
        ph_text_format(paths[1], PATH_BYTES, "%s/.config/poolherd/config.yaml", home);
    }
    for (i = 0; i < 3; i++) {
        if (paths[i][0] != '\0' && access(paths[i], F_OK) == 0) {
            return config_read(paths[i], config, error);
        }
    }
    return 0;
}

static const char *first_set(const char *a, const char *b, const char *c)
{
    return a != NULL && a[0] != '\0' ? a : b != NULL && b[0] != '\0' ? b : c;
}

/* The endpoint a manager left in its directory; 0, or -errno without an error set. */
static int endpoint_read(const char *directory, char *endpoint, size_t size)
{
    char path[PATH_BYTES], *text = NULL;
    size_t bytes = 0;
    int rv = ph_path_join(path, sizeof path, directory, "endpoint");

    if (rv == 0) {
        rv = ph_file_read(path, size - 1, &text, &bytes);
    }
    if (rv == 0) {
        text[strcspn(text, "\r\n")] = '\0';
        ph_text_format(endpoint, size, "%s", text);
    }
    free(text);
    return rv;
}

static int identity_choose(const char *manager, const char *path, struct ph_identity_file *identity,
    struct ph_error *error)
{
    bool directory = manager != NULL && strncmp(manager, "tcp://", 6) != 0;
    char joined[PATH_BYTES];
    int rv;

    if (path == NULL) {
        if (!directory) {
            return ph_error_set(error, PH_BAD_INPUT, "identity",
                "the manager is given as %s: then --identity FILE (or POOLHERD_IDENTITY) must say "
                "who asks",
                manager);
        }
        rv = ph_path_join(joined, sizeof joined, manager, "admin.identity");
        if (rv != 0) {
            return ph_error_set(
                error, PH_BAD_INPUT, "manager", "the manager's directory is too long");
        }
        if (access(joined, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
            return ph_error_set(error, PH_NOT_FOUND, "manager",
                "%s is no manager's directory: %s is not there; --manager or POOLHERD_MANAGER "
                "says where the manager is, a directory or tcp://ADDR:PORT",
                manager, joined);
        path = joined;
    }
    rv = ph_client_identity_load(path, identity, error);
    if (rv != 0) {
        return rv;
    }
    if (manager != NULL && !directory) {
        if (strlen(manager) >= sizeof identity->manager_endpoint) {
            return ph_error_set(
                error, PH_BAD_INPUT, "manager", "the manager's endpoint is too long");
        }
        ph_text_format(
            identity->manager_endpoint, sizeof identity->manager_endpoint, "%s", manager);
    } else if (directory && path != joined) {
        rv = endpoint_read(manager, identity->manager_endpoint, sizeof identity->manager_endpoint);
        if (rv != 0) {
            return ph_error_set(error, rv == -EACCES ? PH_NOT_ALLOWED : PH_NOT_FOUND, "manager",
                "cannot read %s/endpoint: %s", manager, strerror(-rv));
        }
    }
    if (identity->manager_endpoint[0] == '\0' || identity->manager_key[0] == '\0') {
        return ph_error_set(error, PH_BAD_INPUT, "identity",
            "the identity file %s does not say where the manager is and which key it has", path);
    }
    return 0;
}

int ph_client_find(const char *manager, const char *identity_path,
    struct ph_identity_file *identity_out, struct ph_error *error)
{
    struct ph_client_config config = {0};
    struct ph_error local = {0};
    int rv = 0;

    error = error != NULL ? error : &local;
    memset(error, 0, sizeof *error);
    memset(identity_out, 0, sizeof *identity_out);
    manager = first_set(manager, getenv("POOLHERD_MANAGER"), NULL);
    identity_path = first_set(identity_path, getenv("POOLHERD_IDENTITY"), NULL);
    if (manager == NULL || (identity_path == NULL && strncmp(manager, "tcp://", 6) == 0)) {
        rv = config_find(&config, error);
        manager = first_set(manager, config.manager, NULL);
        identity_path = first_set(identity_path, config.identity, NULL);
    }
    if (rv == 0 && manager == NULL && identity_path == NULL) {
        manager = DEFAULT_MANAGER;
    }
    if (rv == 0) {
        rv = identity_choose(manager, identity_path, identity_out, error);
    }
    ph_record_fini(&ph_record_client_config, &config);
    return rv;
}
