/*
 * pool.apply: whether a declaration suits its driver.
 */
#include "manager/core/fencing.h"
#include "manager/core/request.h"

#include <errno.h>
#include <string.h>

#include "proto/check.h"

/* The least that mkfs makes a file system of. */
#define EXT4_MIB_MIN 8
#define XFS_MIB_MIN 300
#define IMAGE_MIB_MAX (16 * 1024 * 1024) /* of a file on ext4 */

static const char *const drivers[] = {"directory", "btrfs", "image", "shared", "ocf"};

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
        {"shared", !ph_record_empty(&ph_record_shared_settings, &at->spec->shared)},
        {"ocf", !ph_record_empty(&ph_record_ocf_settings, &at->spec->ocf)},
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

/* ---- data that several nodes reach ---- */

static bool absolute(const char *path)
{
    return path[0] == '/' && path[1] != '\0' && strstr(path, "/../") == NULL;
}

static int check_shared(const struct core_apply_place *at)
{
    const struct ph_shared_settings *shared = &at->spec->shared;
    const char *path = core_text(shared->path), *source = core_text(shared->source);
    char field[48], said[80];

    if ((path[0] == '\0') == (source[0] == '\0'))
        return core_apply_fault(at, path[0] == '\0' ? "shared" : "shared.path",
            "shared data needs either a path that every node has, or a source to be mounted");
    if (path[0] != '\0' && !absolute(path))
        return core_apply_fault(at, "shared.path", "\"%s\" must be an absolute path",
            ph_text_printable(said, sizeof said, path));
    if (source[0] == '-')
        return core_apply_fault(at, "shared.source", "\"%s\" is nothing that can be mounted",
            ph_text_printable(said, sizeof said, source));
    if (source[0] != '\0' && !ph_name_valid(core_text(shared->file_system)))
        return core_apply_fault(at, "shared.file_system",
            "\"%s\" must be a file system's name, such as nfs4, ext4 or xfs",
            ph_text_printable(said, sizeof said, core_text(shared->file_system)));
    for (size_t i = 0; i < shared->options.count; i++) {
        const char *option = shared->options.items[i];

        ph_text_format(field, sizeof field, "shared.options[%zu]", i);
        if (option[0] == '\0' || strchr(option, ',') != NULL)
            return core_apply_fault(at, field, "\"%s\" must be one option, without a comma",
                ph_text_printable(said, sizeof said, option));
    }
    return 0;
}

static bool agent_name(const char *name)
{
    const char *colon = strncmp(name, "ocf:", 4) == 0 ? strchr(name + 4, ':') : NULL;
    size_t letters = strspn(name + (colon != NULL ? 4 : 0),
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.");

    return colon != NULL && colon != name + 4 && name[4] != '.' && name + 4 + letters == colon &&
           colon[1] != '\0' && colon[1] != '.' &&
           strspn(colon + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") ==
               strlen(colon + 1);
}

static int check_ocf(const struct core_apply_place *at)
{
    const struct ph_ocf_settings *ocf = &at->spec->ocf;
    char field[48], said[80];

    if (!agent_name(core_text(ocf->agent)))
        return core_apply_fault(at, "ocf.agent",
            "\"%s\" must name a resource agent: ocf:PROVIDER:TYPE, such as "
            "ocf:heartbeat:Filesystem",
            ph_text_printable(said, sizeof said, core_text(ocf->agent)));
    if (core_text(ocf->path)[0] != '\0' && !absolute(ocf->path))
        return core_apply_fault(at, "ocf.path", "\"%s\" must be an absolute path",
            ph_text_printable(said, sizeof said, ocf->path));
    for (size_t i = 0; i < ocf->parameters.count; i++) {
        const char *word = ocf->parameters.items[i];
        size_t letters =
            strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

        ph_text_format(field, sizeof field, "ocf.parameters[%zu]", i);
        if (letters == 0 || word[letters] != '=' || strchr(word, '\n') != NULL)
            return core_apply_fault(at, field, "\"%s\" must be NAME=value on one line",
                ph_text_printable(said, sizeof said, word));
    }
    return 0;
}

/* Nodes that could have the pool, and of which nothing could ever prove that they have let go. */
static int check_fencing(const struct core_apply_place *at, bool told)
{
    const struct ph_core *core = at->applying->core;
    const char *driver = at->spec->driver;

    if (at->spec->copies > 0)
        return core_apply_fault(at, "copies",
            "%lld: the driver %s keeps none, since every node "
            "reaches the same data; it must be 0",
            (long long)at->spec->copies, driver);
    for (size_t i = 0; !told && i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;
        bool allowed = at->spec->allow.count == 0;

        for (size_t j = 0; j < at->spec->allow.count; j++)
            allowed = allowed || ph_place_matches(&node->row, at->spec->allow.items[j]);
        if (allowed && node->row.admin != PH_ADMIN_RETIRED &&
            (node->fencing == NULL || node->fencing->count == 0))
            return core_apply_fault(at, driver,
                "node %s has no fence device: nothing could prove that it writes no more when it "
                "is "
                "silent. Declare one (poolherd fence apply), leave the node out of nodes.allow, or "
                "say %s: {without_fencing: true}",
                node->row.name, driver);
    }
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
    bool shared = strcmp(at->spec->driver, "shared") == 0;
    bool ocf = strcmp(at->spec->driver, "ocf") == 0;
    bool told = shared ? at->spec->shared.without_fencing : at->spec->ocf.without_fencing;

    if ((rv = check_sections(at)) != 0 || (image && (rv = check_image(at)) != 0) ||
        (shared && (rv = check_shared(at)) != 0) || (ocf && (rv = check_ocf(at)) != 0) ||
        ((shared || ocf) && (rv = check_fencing(at, told)) != 0) ||
        (rv = check_same(at, current)) != 0)
        return rv;
    return image ? check_image_of(at, current) : 0;
}
