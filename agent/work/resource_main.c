/*
 * poolherd-resource FILE INSTANCE READY: starts the resource that FILE describes (JSON, the record `resource`),
 * writes READY (empty: it runs; else why it does not), monitors it, and ends when it fails, having stopped it.
 * Started by the driver ocf, in the VM's cgroup: so is all that the resource agent starts. It is not the one who
 * stops the resource when that is wanted: the driver is, and ends this program afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "agent/ocf/ocf.h"
#include "base/file.h"
#include "proto/codec.h"
#include "proto/resource.h"

static int load(const char *file, struct ph_resource *resource, struct ph_error *error)
{
    char *text = NULL;
    size_t size = 0;
    int rv = ph_file_read(file, PH_VM_SETTINGS_BYTES_MAX * 2, &text, &size);
    if (rv == 0)
        rv = ph_decode(&ph_record_resource, text, size, resource, error);
    else
        ph_error_set(error, PH_FAILED, NULL, "%s: %s", file, strerror(-rv));
    free(text);
    return rv;
}

static void say(const char *instance, const char *what)
{
    fprintf(stderr, "poolherd-resource: %s: %s\n", instance, what);
    fflush(stderr);
}

/* Returns when it does not run any more as it should. */
static void look_after(const struct ph_ocf *ocf, int64_t interval_s, struct ph_error *error)
{
    const struct timespec pause = {.tv_sec = (time_t)interval_s};
    for (;;) {
        nanosleep(&pause, NULL);
        int rv = ph_ocf_monitor(ocf, NULL, error);
        if (rv == -ESRCH)
            ph_error_set(error, PH_FAILED, NULL, "%s monitor answers %s", ocf->agent,
                ph_ocf_meaning(PH_OCF_NOT_RUNNING));
        if (rv != 0)
            return;
    }
}

static int start(const struct ph_ocf *ocf, const char *ready, struct ph_error *error)
{
    int rv = ph_ocf_start(ocf, NULL, error);
    const char *what = rv != 0 ? error->message : "";
    int written = ph_file_replace(ready, what, strlen(what), 0600);
    if (rv == 0 && written != 0) {
        ph_error_set(error, PH_FAILED, NULL, "%s: %s", ready, strerror(-written));
        rv = written;
    }
    return rv;
}

int main(int argc, char **argv)
{
    struct ph_resource resource = {0};
    struct ph_error error = {.code = PH_OK}, why = {.code = PH_OK};
    if (argc != 4) {
        fputs("usage: poolherd-resource FILE INSTANCE READY\n", stderr);
        return 2;
    }
    if (load(argv[1], &resource, &error) != 0) {
        say(argv[2], error.message);
        return 2;
    }
    struct ph_ocf ocf = {.agent = resource.agent,
        .instance = argv[2],
        .parameters = &resource.parameters,
        .timeout_ms =
            (uint32_t)(resource.timeout_s > 0 ? resource.timeout_s : PH_RESOURCE_TIMEOUT_S) * 1000};
    if (start(&ocf, argv[3], &error) == 0) {
        say(argv[2], "runs");
        look_after(
            &ocf, resource.interval_s > 0 ? resource.interval_s : PH_RESOURCE_INTERVAL_S, &error);
    }
    say(argv[2], error.message);
    if (ph_ocf_stop(&ocf, NULL, &why) != 0)
        say(argv[2], why.message);
    ph_record_fini(&ph_record_resource, &resource);
    return 1;
}
