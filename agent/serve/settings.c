#include "agent/serve/settings.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/file.h"
#include "base/text.h"
#include "poolherd/client.h"
#include "poolherd/version.h"
#include "proto/yaml.h"

static int set_defaults(struct ph_agent_config *config)
{
    config->copies_parallel = 4;
    config->copy_stall_s = 300;
    config->pid_namespaces = true;
    ph_text_format(config->log_level, sizeof config->log_level, "notice");
    return ph_set_text(&config->listen, "tcp://127.0.0.1:*");
}

static int read_file(const char *path, struct ph_agent_config *config, struct ph_error *error)
{
    struct ph_yaml *root = NULL;
    int rv = ph_yaml_read(path, &root, error);
    if (rv == 0)
        rv = ph_yaml_decode(&ph_record_agent_config, root, path, config, error);
    ph_yaml_destroy(&root);
    return rv;
}

static int check(const struct ph_agent_config *config, struct ph_error *error)
{
    static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};
    bool known = false;
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        known = known || strcmp(levels[i], config->log_level) == 0;
    if (!known)
        return ph_error_set(error, PH_BAD_INPUT, "log_level",
            "\"%s\" is no log level; error, warning, notice, info and debug are",
            config->log_level);
    if (strncmp(config->listen, "tcp://", 6) != 0 || !strrchr(config->listen + 6, ':'))
        return ph_error_set(error, PH_BAD_INPUT, "listen",
            "\"%s\" is no address to listen at; tcp://ADDR:PORT is, and PORT may be *",
            config->listen);
    for (size_t i = 0; i < config->labels.count; i++) {
        const char *equals = strchr(config->labels.items[i], '=');
        if (!equals || equals == config->labels.items[i])
            return ph_error_set(error, PH_BAD_INPUT, "labels", "\"%s\" is no label; key=value is",
                config->labels.items[i]);
    }
    return 0;
}

int ph_settings_read(
    const struct ph_agent_options *options, struct ph_agent_config *config, struct ph_error *error)
{
    int rv = set_defaults(config);
    char path[PATH_MAX];
    if (rv == 0)
        rv = ph_path_join(path, sizeof(path), options->directory, "agent.yaml");
    if (rv != 0)
        return ph_error_set(error, PH_FAILED, NULL, "%s: %s", options->directory, strerror(-rv));
    const char *file = options->config ? options->config : path;
    bool from_file = options->config || access(path, F_OK) == 0;
    if (from_file) {
        rv = read_file(file, config, error);
        if (rv != 0)
            return rv;
    }
    if (options->listen && ph_set_text(&config->listen, options->listen) != 0)
        return ph_error_set(error, PH_FAILED, NULL, "out of memory");
    if (options->name) {
        if (!ph_name_valid(options->name)) {
            char shown[128];
            return ph_error_set(error, PH_BAD_INPUT, "--name",
                "\"%s\" is no name: 1 to 63 of a-z 0-9 . _ -, a letter or digit first",
                ph_text_printable(shown, sizeof(shown), options->name));
        }
        ph_text_format(config->name, sizeof(config->name), "%s", options->name);
    }
    if (!config->listen)
        return ph_error_set(error, PH_BAD_INPUT, "listen", "is empty; tcp://ADDR:PORT is right");
    rv = check(config, error);
    if (rv != 0 && from_file) {
        struct ph_error what = *error;
        ph_error_set(error, what.code, what.field, "%s (in %s)", what.message, file);
    }
    return rv;
}

int ph_settings_identity(const struct ph_agent_options *options, const char *wanted_name,
    struct ph_identity_file *identity, struct ph_error *error)
{
    char path[PATH_MAX];
    if (ph_path_join(path, sizeof(path), options->directory, "agent.identity") != 0)
        return ph_error_set(error, PH_BAD_INPUT, "--dir", "the path is too long");
    if (options->token) {
        /* A token presented again after an answer was lost is presented with the same key. */
        int rv = ph_client_join(options->token, path, PH_REQUEST_TIMEOUT_MS, error);
        if (rv != 0)
            return rv;
    } else if (access(path, F_OK) != 0) {
        return ph_error_set(error, PH_NOT_ALLOWED, "--join",
            "this node is not enrolled yet: run `poolherd node invite NAME` at the manager and "
            "give "
            "its token to --join");
    }
    int rv = ph_identity_load(path, identity, error);
    if (rv == 0 && wanted_name[0] && strcmp(wanted_name, identity->name) != 0)
        return ph_error_set(error, PH_BAD_INPUT, "name",
            "this directory is enrolled as %s, not as %s; use another --dir for another node",
            identity->name, wanted_name);
    return rv;
}

/* Where others reach the data channel: `advertise` with the real port in place of *. */
static int advertised(
    const struct ph_agent_config *config, const char *endpoint, char *out, size_t size)
{
    if (!config->advertise)
        return ph_text_format(out, size, "%s", endpoint) < size ? 0 : -ENAMETOOLONG;
    const char *port = strrchr(config->advertise, ':');
    const char *real = strrchr(endpoint, ':');
    if (port && real && strcmp(port, ":*") == 0)
        ph_text_format(
            out, size, "%.*s%s", (int)(port - config->advertise), config->advertise, real);
    else
        ph_text_format(out, size, "%s", config->advertise);
    return 0;
}

int ph_settings_hello(const struct ph_agent_config *config, const char *directory,
    const char *endpoint, struct ph_hello *hello)
{
    char text[PH_TEXT_BYTES_MAX];
    int rv = advertised(config, endpoint, text, sizeof(text));
    if (rv == 0)
        rv = ph_set_text(&hello->endpoint, text);
    if (rv == 0)
        rv = ph_set_text(&hello->version, PH_VERSION);
    ph_machine_boot_id(text, sizeof(text));
    if (rv == 0)
        rv = ph_set_text(&hello->boot_id, text);
    if (rv == 0)
        rv = ph_texts_copy(&hello->labels, &config->labels);
    hello->cpu = config->cpu ? config->cpu : sysconf(_SC_NPROCESSORS_ONLN) * 1000;
    hello->memory_mib = config->memory_mib ? config->memory_mib : ph_machine_memory_mib();
    struct statvfs disk;
    hello->disk_mib = config->disk_mib;
    if (!hello->disk_mib && statvfs(directory, &disk) == 0)
        hello->disk_mib = (int64_t)((uint64_t)disk.f_blocks * disk.f_frsize / (1024 * 1024));
    return rv;
}

int ph_settings_instance(const char *directory, char previous[65], char instance[65])
{
    char path[PATH_MAX];
    char *text = NULL;
    int rv = ph_path_join(path, sizeof(path), directory, "instance");
    if (rv != 0)
        return rv;
    previous[0] = 0;
    if (ph_file_read(path, 64, &text, NULL) == 0)
        ph_text_format(previous, 65, "%s", text);
    free(text);
    ph_id_make(instance);
    return ph_file_replace(path, instance, strlen(instance), 0600);
}

static const char *port_of(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    return colon ? colon + 1 : "";
}

bool ph_settings_last_listen(
    const char *directory, const char *configured, char *listen, size_t size)
{
    char path[PATH_MAX], *text = NULL;
    bool known = strcmp(port_of(configured), "*") == 0 &&
                 ph_path_join(path, sizeof(path), directory, "port") == 0 &&
                 ph_file_read(path, 5, &text, NULL) == 0 && text[0] != '\0' &&
                 strspn(text, "0123456789") == strlen(text);
    if (known)
        ph_text_format(listen, size, "%.*s%s", (int)(strlen(configured) - 1), configured, text);
    free(text);
    return known;
}

void ph_settings_keep_port(const char *directory, const char *endpoint)
{
    char path[PATH_MAX];
    const char *port = port_of(endpoint);
    if (ph_path_join(path, sizeof(path), directory, "port") == 0)
        (void)ph_file_replace(path, port, strlen(port), 0600);
}
