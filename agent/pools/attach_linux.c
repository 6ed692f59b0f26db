/* Pool drivers: shared, ocf. What they have in common. docs/pools.md. */
#include "agent/pools/attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/ocf/ocf.h"
#include "agent/pools/drivers.h"
#include "agent/pools/layout.h"
#include "base/file.h"
#include "proto/codec.h"

#define TOKEN_BYTES_MAX 4096

static const struct ph_pool_attachment *attachment(const struct ph_pool_context *context)
{
    return context->driver == &ph_pool_driver_shared ? &ph_attachment_shared : &ph_attachment_ocf;
}

int ph_attach_settings(const struct ph_pool_context *context, struct ph_pool_settings *settings,
    struct ph_error *error)
{
    const char *text = context->pool->settings;

    memset(settings, 0, sizeof *settings);
    if (text != NULL)
        return ph_decode(&ph_record_pool_settings, text, strlen(text), settings, error);
    ph_error_set(error, PH_BAD_INPUT, context->driver->name, "its settings are missing");
    return -EINVAL;
}

/* ---- the token beside the data ---- */

static void token_path(const struct ph_pool_site *site, const char *data, char out[PATH_MAX])
{
    ph_text_format(out, PATH_MAX, "%.*s/.poolherd-%s", PATH_MAX - PH_NAME_BYTES_MAX - 16, data,
        site->context->pool->name);
}

static int read_token(const char *path, struct ph_pool_trace *token, struct ph_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_file_read(path, TOKEN_BYTES_MAX, &text, &bytes);

    if (rv == 0 && bytes > 0)
        rv = ph_decode(&ph_record_pool_trace, text, bytes, token, error);
    free(text);
    return rv;
}

static int check_token(
    struct ph_pool_site *site, const char *data, bool create, struct ph_error *error)
{
    struct ph_pool_trace token = {.epoch = 0};
    char path[PATH_MAX], *text = NULL;
    size_t bytes = 0;

    token_path(site, data, path);
    int rv = read_token(path, &token, error);
    if (rv == -ENOENT && !create) {
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "%s is missing: what is there is not the pool's data (not mounted?). If it is, and the "
            "file was lost, make it as an empty file",
            path);
        return -ENODATA;
    }
    if (rv == -ENOENT)
        rv = 0;
    if (rv != 0) {
        if (error->message[0] == '\0')
            ph_error_set(error, PH_FAILED, NULL, "cannot read %s: %s", path, strerror(-rv));
        return rv;
    }
    int64_t seen = token.epoch;
    ph_record_fini(&ph_record_pool_trace, &token);
    if (seen > site->context->epoch) {
        ph_error_set(error, PH_STATE_FORBIDS, "epoch",
            "the data was attached under epoch %lld already, which is higher than %lld",
            (long long)seen, (long long)site->context->epoch);
        return -ESTALE;
    }
    token.epoch = site->context->epoch;
    ph_text_format(token.pool, sizeof token.pool, "%s", site->context->pool->name);
    rv = ph_encode(&ph_record_pool_trace, &token, PH_ENCODE_WIRE, &text, &bytes);
    if (rv == 0)
        rv = ph_file_replace(path, text, bytes, 0600);
    free(text);
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "cannot write %s: %s", path, strerror(-rv));
    return rv;
}

/* ---- the driver's functions ---- */

static int inspect(const struct ph_pool_context *context, struct ph_pool_data *data_out)
{
    struct ph_pool_site site;

    memset(data_out, 0, sizeof *data_out);
    int rv = ph_site_open(context, PH_SITE_LOOK, &site, NULL);
    if (rv != 0)
        return rv;
    data_out->exists = site.traced;
    data_out->epoch = site.trace.epoch;
    data_out->active_data = site.trace.data_epoch > 0 && !site.trace.released;
    data_out->copy_epoch = site.trace.data_epoch;
    data_out->copy_sequence = site.trace.data_sequence;
    ph_site_close(&site);
    return 0;
}

static int attach_locked(struct ph_pool_site *site, const struct ph_pool_settings *settings,
    bool create, char path_out[PATH_MAX], struct ph_error *error)
{
    const struct ph_pool_attachment *driver = attachment(site->context);
    struct ph_error why = {.code = PH_OK};
    bool own = false;

    /* Written first: what may be attached is never forgotten. */
    if (site->trace.data_epoch != site->context->epoch || site->trace.released) {
        site->trace.epoch = site->trace.data_epoch = site->context->epoch;
        site->trace.data_sequence++;
        site->trace.released = false;
        int rv = ph_site_save(site, error);
        if (rv != 0)
            return rv;
    }
    int rv = driver->attach(site, settings, path_out, &own, error);
    if (rv == 0 && !own)
        rv = check_token(site, path_out, create, error);
    if (rv == 0)
        return 0;
    if (driver->detach(site, settings, &why) == 0) {
        site->trace.released = true;
        (void)ph_site_save(site, &why);
    }
    return rv;
}

static int activate(const struct ph_pool_context *context, bool create, char path_out[PATH_MAX],
    struct ph_error *error)
{
    struct ph_pool_settings settings;
    struct ph_pool_site site;
    int rv = ph_attach_settings(context, &settings, error);

    if (rv == 0)
        rv = ph_site_open(context, PH_SITE_MAKE, &site, error);
    if (rv == 0) {
        rv = attach_locked(&site, &settings, create, path_out, error);
        ph_site_close(&site);
    }
    ph_record_fini(&ph_record_pool_settings, &settings);
    return rv;
}

static int detach_locked(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_pool_settings settings;
    int rv = ph_site_raise(site, error);

    if (rv != 0 || site->trace.data_epoch == 0)
        return rv;
    rv = ph_attach_settings(site->context, &settings, error);
    if (rv == 0)
        rv = attachment(site->context)->detach(site, &settings, error);
    ph_record_fini(&ph_record_pool_settings, &settings);
    if (rv != 0 || site->trace.released)
        return rv;
    site->trace.released = true;
    rv = ph_site_save(site, error);
    if (rv != 0)
        site->trace.released = false;
    return rv;
}

static int deactivate(const struct ph_pool_context *context, struct ph_error *error)
{
    struct ph_pool_site site;
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv == -ENOENT)
        return 0;
    if (rv != 0)
        return rv;
    rv = detach_locked(&site, error);
    ph_site_close(&site);
    return rv;
}

/* The data is not this node's: only what is kept here of it goes. */
static int drop(const struct ph_pool_context *context, struct ph_error *error)
{
    static const char *const files[] = {"mount", "own", "release"};
    struct ph_pool_site site;
    char path[PATH_MAX];
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv == -ENOENT)
        return 0;
    if (rv != 0)
        return rv;
    rv = detach_locked(&site, error);
    if (rv == 0)
        rv = ph_site_trash(&site, "own", error);
    for (size_t i = 0; rv == 0 && i < 3; i++) {
        ph_site_path(&site, files[i], path);
        if (remove(path) != 0 && errno != ENOENT) {
            rv = -errno;
            ph_error_set(error, PH_FAILED, NULL, "cannot remove %s: %s", path, strerror(-rv));
        }
    }
    if (rv == 0)
        rv = ph_site_remove(&site, error);
    ph_site_close(&site);
    return rv;
}

static int no_copies(const struct ph_pool_context *context, struct ph_error *error)
{
    ph_error_set(error, PH_STATE_FORBIDS, "copies",
        "the driver %s keeps no copies: every node reaches the same data", context->driver->name);
    return -ENOTSUP;
}

static int open_copy(
    const struct ph_pool_context *context, struct ph_stream_open *open_out, struct ph_error *error)
{
    (void)open_out;
    return no_copies(context, error);
}

static int send_copy(const struct ph_pool_context *context, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error)
{
    (void)stream;
    (void)last;
    (void)copy_out;
    return no_copies(context, error);
}

static int receive(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    (void)stream;
    (void)open;
    (void)copy_out;
    return no_copies(context, error);
}

static int probe_shared(const char *directory, struct ph_error *error)
{
    (void)directory;
    (void)error;
    return 0; /* a path needs nothing; what a source needs, its activation says */
}

static int probe_ocf(const char *directory, struct ph_error *error)
{
    struct ph_texts agents = {.count = 0};
    int rv = ph_ocf_list(&agents);
    (void)directory;

    if (rv == 0 && agents.count == 0)
        rv = -ENOENT;
    ph_texts_fini(&agents);
    if (rv == 0)
        return 0;
    ph_error_set(error, PH_FAILED, NULL,
        "there are no OCF resource agents here; install the package resource-agents");
    return -ENOTSUP;
}

#define ATTACHED                                                                                   \
    .inspect = inspect, .activate = activate, .deactivate = deactivate, .drop = drop,              \
    .open = open_copy, .send = send_copy, .receive = receive

const struct ph_pool_driver ph_pool_driver_shared = {
    .name = "shared", ATTACHED, .probe = probe_shared, .mount_path = ph_shared_mount_path};
const struct ph_pool_driver ph_pool_driver_ocf = {.name = "ocf",
    ATTACHED,
    .probe = probe_ocf,
    .mount_path = ph_layout_no_mount,
    .release_file = ph_ocf_pool_release_file};
