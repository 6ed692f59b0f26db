#include "agent/pools/layout.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"

int ph_layout_inspect(const struct ph_pool_context *context, struct ph_pool_data *data_out)
{
    const struct ph_pool_layout *layout = context->driver->layout;
    struct ph_pool_manifest newest = {.epoch = 0};
    struct ph_pool_site site;

    memset(data_out, 0, sizeof *data_out);
    int rv = ph_site_open(context, PH_SITE_LOOK, &site, NULL);
    if (rv != 0)
        return rv;
    bool has = layout->newest(&site, &newest) == 0;
    ph_site_describe(&site, has ? &newest : NULL, data_out);
    ph_record_fini(&ph_record_pool_manifest, &newest);
    ph_site_close(&site);
    return 0;
}

static int refuse_newer(
    const struct ph_pool_site *site, const struct ph_pool_manifest *newest, struct ph_error *error)
{
    ph_error_set(error, PH_STATE_FORBIDS, "epoch",
        "the copy here is of epoch %lld, newer than %lld", (long long)newest->epoch,
        (long long)site->context->epoch);
    return -ESTALE;
}

/* What replaces data/ must find it unmounted. */
static int make_way(const struct ph_pool_layout *layout, struct ph_pool_site *site,
    const struct ph_pool_manifest *newest, struct ph_error *error)
{
    bool replaced = newest != NULL && newest->epoch > site->trace.data_epoch;
    return replaced && layout->unuse != NULL ? layout->unuse(site, error) : 0;
}

static int activate_locked(const struct ph_pool_layout *layout, struct ph_pool_site *site,
    bool create, struct ph_error *error)
{
    struct ph_pool_manifest newest = {.epoch = 0};
    int rv = layout->tidy != NULL ? layout->tidy(site, error) : 0;

    if (rv != 0)
        return rv;
    bool has = layout->newest(site, &newest) == 0;
    if (has && newest.epoch > site->context->epoch)
        rv = refuse_newer(site, &newest, error);
    if (rv == 0)
        rv = make_way(layout, site, has ? &newest : NULL, error);
    if (rv == 0)
        rv = ph_site_settle_data(site, has ? &newest : NULL, layout->remove_data, error);
    if (rv == 0 && (has || create)) {
        rv = layout->begin(site, has ? &newest : NULL, error);
    } else if (rv == 0) {
        ph_error_set(error, PH_NOT_FOUND, NULL,
            "there is neither data nor a complete copy of pool %s on this node",
            site->context->pool->name);
        rv = -ENOENT;
    }
    ph_record_fini(&ph_record_pool_manifest, &newest);
    return rv > 0 ? 0 : rv;
}

int ph_layout_activate(const struct ph_pool_context *context, bool create, char path_out[PATH_MAX],
    struct ph_error *error)
{
    const struct ph_pool_layout *layout = context->driver->layout;
    struct ph_pool_site site;
    int rv = ph_site_open(context, create ? PH_SITE_MAKE : PH_SITE_CHANGE, &site, error);

    if (rv != 0)
        return rv;
    /* Which stores the epoch with what data/ is. */
    rv = activate_locked(layout, &site, create, error);
    if (rv == 0 && layout->use != NULL)
        rv = layout->use(&site, path_out, error);
    else if (rv == 0)
        ph_site_path(&site, "data", path_out);
    ph_site_close(&site);
    return rv;
}

int ph_layout_deactivate(const struct ph_pool_context *context, struct ph_error *error)
{
    const struct ph_pool_layout *layout = context->driver->layout;
    struct ph_pool_site site;
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv == -ENOENT)
        return 0; /* nothing here, nothing to release */
    if (rv != 0)
        return rv;
    if (layout->unuse != NULL)
        rv = layout->unuse(&site, error);
    if (rv == 0)
        rv = ph_site_release(&site, error);
    if (rv == 0 && layout->released != NULL && ph_site_has_data(&site))
        rv = layout->released(&site, error);
    ph_site_close(&site);
    return rv;
}

int ph_layout_drop(const struct ph_pool_context *context, struct ph_error *error)
{
    const struct ph_pool_layout *layout = context->driver->layout;
    struct ph_pool_site site;
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv == -ENOENT)
        return 0;
    if (rv != 0)
        return rv;
    rv = ph_site_raise(&site, error);
    if (rv == 0 && layout->unuse != NULL)
        rv = layout->unuse(&site, error);
    if (rv == 0)
        rv = layout->remove_copies(&site, error);
    if (rv == 0)
        rv = layout->remove_data(&site, "data", error);
    if (rv == 0)
        rv = ph_site_remove(&site, error);
    ph_site_close(&site);
    return rv;
}

int ph_layout_open(
    const struct ph_pool_context *context, struct ph_stream_open *open_out, struct ph_error *error)
{
    struct ph_pool_site site;
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv != 0)
        return rv;
    ph_site_empty_trash(&site);
    rv = ph_site_next_copy(&site, open_out, error);
    if (rv == 0)
        ph_text_format(open_out->driver, sizeof open_out->driver, "%s", context->driver->name);
    ph_site_close(&site);
    return rv;
}

int ph_layout_send(const struct ph_pool_context *context, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error)
{
    const struct ph_stream_open *open = ph_stream_opening(stream);
    uint64_t begun_ms = ph_clock_boot_ms();
    struct ph_pool_site site;

    memset(copy_out, 0, sizeof *copy_out);
    int rv = ph_site_open(context, PH_SITE_SHARE, &site, error);
    if (rv != 0)
        return rv;
    rv = ph_site_may_send(&site, open, last, error);
    if (rv == 0)
        rv = context->driver->layout->send(&site, stream, last, copy_out, error);
    ph_site_close(&site);
    if (rv == 0) {
        copy_out->epoch = open->epoch;
        copy_out->sequence = open->sequence;
        copy_out->as_of = last ? ph_clock_wall_ms() : open->as_of;
        copy_out->age_ms = last ? 0 : (int64_t)(ph_clock_boot_ms() - begun_ms);
    }
    return rv;
}

int ph_layout_receive(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    struct ph_pool_manifest manifest = {.epoch = 0};
    struct ph_pool_site site;

    memset(copy_out, 0, sizeof *copy_out);
    int rv = ph_site_open(context, PH_SITE_MAKE, &site, error);
    if (rv != 0)
        return rv;
    rv = context->driver->layout->receive(&site, stream, open, &manifest, error);
    /* Now that the newer copy is in place. */
    if (rv == 0 && ph_site_has_data(&site))
        rv = ph_site_set_aside(&site, error);
    copy_out->spoilt = site.spoilt;
    if (site.spoilt > 0)
        ph_log(PH_LOG_ERROR, "copy_corrupt",
            "pool=%s path=%s wrong=%lld next_step=look_at_the_disk", context->pool->name, site.base,
            (long long)site.spoilt);
    if (rv == 0) {
        copy_out->epoch = manifest.epoch;
        copy_out->sequence = manifest.sequence;
        copy_out->as_of = manifest.as_of;
        copy_out->bytes = manifest.bytes;
        ph_text_format(copy_out->hash, sizeof copy_out->hash, "%s",
            manifest.hash != NULL ? manifest.hash : "");
    }
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    ph_site_close(&site);
    return rv;
}

void ph_layout_no_mount(const struct ph_pool_context *context, char path_out[PATH_MAX])
{
    (void)context;
    path_out[0] = '\0';
}
