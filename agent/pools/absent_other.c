/* Drivers of Linux alone: elsewhere they say so. */
#include <errno.h>
#include <string.h>
#include "agent/pools/drivers.h"

static int probe(const char *directory, struct ph_error *error)
{
    (void)directory;
    ph_error_set(error, PH_FAILED, NULL, "this driver exists on Linux only; use another one");
    return -ENOTSUP;
}

static int inspect(const struct ph_pool_context *context, struct ph_pool_data *data_out)
{
    (void)context;
    memset(data_out, 0, sizeof *data_out);
    return 0;
}

static int activate(const struct ph_pool_context *context, bool create, char path_out[PATH_MAX],
    struct ph_error *error)
{
    (void)create;
    path_out[0] = '\0';
    return probe(context->directory, error);
}

static int nothing(const struct ph_pool_context *context, struct ph_error *error)
{
    (void)context;
    (void)error;
    return 0;
}

static int open_copy(
    const struct ph_pool_context *context, struct ph_stream_open *open_out, struct ph_error *error)
{
    (void)open_out;
    return probe(context->directory, error);
}

static int send_copy(const struct ph_pool_context *context, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error)
{
    (void)stream;
    (void)last;
    (void)copy_out;
    return probe(context->directory, error);
}

static int receive(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    (void)stream;
    (void)open;
    (void)copy_out;
    return probe(context->directory, error);
}

static void mount_path(const struct ph_pool_context *context, char path_out[PATH_MAX])
{
    (void)context;
    path_out[0] = '\0';
}

#define ABSENT(name_)                                                                              \
    {                                                                                              \
        .name = (name_), .probe = probe, .inspect = inspect, .activate = activate,                 \
        .deactivate = nothing, .drop = nothing, .open = open_copy, .send = send_copy,              \
        .receive = receive, .mount_path = mount_path                                               \
    }

const struct ph_pool_driver ph_pool_driver_btrfs = ABSENT("btrfs");
const struct ph_pool_driver ph_pool_driver_image = ABSENT("image");
const struct ph_pool_driver ph_pool_driver_shared = ABSENT("shared");
const struct ph_pool_driver ph_pool_driver_ocf = ABSENT("ocf");
