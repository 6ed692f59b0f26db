/*
 * pool.apply: whether a declaration suits its driver.
 */
#include "manager/core/request.h"

#include <errno.h>
#include <string.h>

#include "proto/check.h"

/* The least that mkfs makes a file system of. */
#define EXT4_MIB_MIN 8
#define XFS_MIB_MIN 300
#define IMAGE_MIB_MAX (16 * 1024 * 1024) /* of a file on ext4 */

static const char *const drivers[] = {"directory", "btrfs", "image"};

#define DRIVERS (sizeof drivers / sizeof drivers[0])

static int no_such_driver(const struct core_apply_place *at)
{
    const char *nearest = ph_text_nearest(at->spec->driver, drivers, DRIVERS);
    char list[128] = "";
    size_t used = 0;

    if (nearest != NULL)
        return core_apply_fault(at, "driver", "there is no pool driver %s; did you mean \"%s\"?",
            at->spec->driver, nearest);
    for (size_t i = 0; i < DRIVERS; i++)
        used += ph_text_format(list + used, sizeof list - used, "%s%s",
            i == 0            ? ""
            : i + 1 < DRIVERS ? ", "
                              : " and ",
            drivers[i]);
    return core_apply_fault(
        at, "driver", "there is no pool driver %s; there are %s", at->spec->driver, list);
}

static int check_same(const struct core_apply_place *at, const struct core_pool *current)
{
    if (current == NULL || strcmp(current->row.driver, at->spec->driver) == 0 ||
        (!current->row.created && current->row.node[0] == '\0'))
        return 0;
    core_apply_fault(at, "driver",
        "its data was made by the driver %s, so that it cannot become %s; declare a new pool and "
        "move the data",
        current->row.driver, at->spec->driver);
    at->applying->error.code = PH_STATE_FORBIDS;
    return -EBUSY;
}

/* Settings of one driver under another are a mistake that would be silent. */
static int check_sections(const struct core_apply_place *at)
{
    const struct {
        const char *driver;
        bool there;
    } sections[] = {
        {"image", !ph_record_empty(&ph_record_image_settings, &at->spec->image)},
    };

    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (sections[i].there && strcmp(sections[i].driver, at->spec->driver) != 0)
            return core_apply_fault(at, sections[i].driver,
                "these settings are for the driver %s, and its driver is %s", sections[i].driver,
                at->spec->driver);
    }
    return 0;
}

static int check_image(const struct core_apply_place *at)
{
    enum ph_file_system wanted = at->spec->image.file_system;
    long long size = at->spec->disk_mib,
              least = wanted == PH_FILE_SYSTEM_XFS ? XFS_MIB_MIN : EXT4_MIB_MIN;
    const char *word = ph_enum_word(&ph_enum_file_system, (int)wanted);

    if (size < least || size > IMAGE_MIB_MAX)
        return core_apply_fault(at, "disk_mib",
            "%lld: an image is a file of this size, and one with %s needs %lld to %d MiB", size,
            word, least, IMAGE_MIB_MAX);
    return 0;
}

/* An image that exists grows and changes in nothing else. */
static int check_image_of(const struct core_apply_place *at, const struct core_pool *current)
{
    long long size = at->spec->disk_mib;

    if (current == NULL || !current->row.created)
        return 0;
    if (size < current->row.disk_mib)
        return core_apply_fault(at, "disk_mib",
            "%lld is less than the %lld MiB its image has; one never shrinks. Declare a new pool "
            "and move the data",
            size, (long long)current->row.disk_mib);
    struct ph_pool_spec before = {0};

    core_settings_read(at->applying->core, &current->row, &before);
    bool same = before.image.file_system == at->spec->image.file_system;

    ph_record_fini(&ph_record_pool_spec, &before);
    if (!same)
        return core_apply_fault(at, "image.file_system",
            "%s: its image was made with another file system; declare a new pool and move the data",
            ph_enum_word(&ph_enum_file_system, (int)at->spec->image.file_system));
    return 0;
}

int core_apply_check_driver(const struct core_apply_place *at)
{
    const struct core_pool *current = core_find_pool(at->applying->core, at->spec->name);
    bool known = false;
    int rv;

    for (size_t i = 0; i < DRIVERS; i++)
        known = known || strcmp(drivers[i], at->spec->driver) == 0;
    if (!known)
        return no_such_driver(at);
    bool image = strcmp(at->spec->driver, "image") == 0;

    if ((rv = check_sections(at)) != 0 || (image && (rv = check_image(at)) != 0) ||
        (rv = check_same(at, current)) != 0)
        return rv;
    return image ? check_image_of(at, current) : 0;
}
