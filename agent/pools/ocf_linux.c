/* Data that an OCF resource agent makes reachable: Filesystem, LVM-activate, ZFS, ... */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/ocf/ocf.h"
#include "agent/pools/attach.h"

struct resource {
    struct ph_ocf ocf;
    char instance[PH_NAME_BYTES_MAX + 16];
};

static void describe(const struct ph_pool_context *context, const struct ph_pool_settings *settings,
    struct resource *resource)
{
    ph_text_format(
        resource->instance, sizeof resource->instance, "poolherd-%s", context->pool->name);
    resource->ocf = (struct ph_ocf){.agent = settings->ocf.agent,
        .instance = resource->instance,
        .parameters = &settings->ocf.parameters,
        .timeout_ms = (uint32_t)settings->ocf.timeout_s * 1000};
}

static int attach(struct ph_pool_site *site, const struct ph_pool_settings *settings,
    char path_out[PATH_MAX], bool *own_out, struct ph_error *error)
{
    struct resource resource;
    struct stat status;
    const char *path = settings->ocf.path;

    describe(site->context, settings, &resource);
    int rv = ph_ocf_start(&resource.ocf, site->context->cancelled, error);
    if (rv != 0)
        return rv;
    *own_out = path == NULL;
    if (path == NULL) {
        ph_site_path(site, "own", path_out);
        return ph_site_make(site, "own", error);
    }
    ph_text_format(path_out, PATH_MAX, "%s", path);
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    ph_error_set(error, PH_STATE_FORBIDS, "ocf.path",
        "%s runs, and there is no directory %s; is ocf.path what its parameters say?",
        settings->ocf.agent, path);
    return -ENODATA;
}

/* What does not stop is never released. */
static int detach(
    struct ph_pool_site *site, const struct ph_pool_settings *settings, struct ph_error *error)
{
    struct resource resource;
    char path[PATH_MAX];

    describe(site->context, settings, &resource);
    int rv = ph_ocf_stop(&resource.ocf, NULL, error);
    ph_site_path(site, "release", path);
    if (rv == 0)
        (void)unlink(path);
    return rv;
}

const struct ph_pool_attachment ph_attachment_ocf = {.attach = attach, .detach = detach};

int ph_ocf_pool_release_file(
    const struct ph_pool_context *context, char path_out[PATH_MAX], struct ph_error *error)
{
    struct ph_pool_settings settings;
    struct ph_pool_site site;
    struct resource resource;
    int rv = ph_attach_settings(context, &settings, error);

    if (rv == 0)
        rv = ph_site_open(context, PH_SITE_MAKE, &site, error);
    if (rv == 0) {
        ph_site_path(&site, "release", path_out);
        describe(context, &settings, &resource);
        rv = ph_ocf_write_release(&resource.ocf, path_out, error);
        ph_site_close(&site);
    }
    ph_record_fini(&ph_record_pool_settings, &settings);
    return rv;
}
