#include <errno.h>
#include <string.h>
#include "agent/work/watch_parts.h"

#define ADDRESSES_MAX 32
#define USE_TOLD_MS 30000
#define USE_STEP_MIB 16

const char *const ph_watch_questions[] = {
    "query-status", "query-kvm", "query-named-block-nodes", "query-vnc", "query-chardev", NULL};

static const char *string_in(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* A text of somebody else, bounded and printable. */
static int set_bounded(char **member, size_t bytes_max, const char *text)
{
    char shown[201];
    ph_text_printable(shown, bytes_max < sizeof shown ? bytes_max + 1 : sizeof shown, text);
    return ph_set_text(member, shown);
}

static int take_accelerator(struct ph_watched *watched, const json_t *value)
{
    const char *before = watched->found.accelerator == NULL ? "" : watched->found.accelerator;
    const char *now = json_is_true(json_object_get(value, "enabled")) ? "kvm" : "tcg";
    /* What the driver noted at the start also says why; it counts as long as QEMU agrees. */
    return strncmp(before, now, 3) == 0 ? 0 : ph_set_text(&watched->found.accelerator, now);
}

/* What the files below the disks occupy. A node above a file repeats its numbers. */
static void take_disks(struct ph_watched *watched, const json_t *value)
{
    json_int_t bytes = 0;
    json_t *node;
    size_t i;
    json_array_foreach(value, i, node)
    {
        json_t *size = json_object_get(json_object_get(node, "image"), "actual-size");
        bool file = strcmp(string_in(node, "drv"), "file") == 0;
        if (file && !json_is_true(json_object_get(node, "ro")) && json_integer_value(size) > 0 &&
            bytes < INT64_MAX / 2 && json_integer_value(size) < INT64_MAX / 2)
            bytes += json_integer_value(size);
    }
    watched->found.disk_used_mib = bytes / (1024 * 1024);
}

static int take_vnc(struct ph_watched *watched, const json_t *value)
{
    char text[PH_NAME_BYTES_MAX + 65] = "";
    const char *host = string_in(value, "host");
    if (json_is_true(json_object_get(value, "enabled")) && host[0] != '\0')
        ph_text_format(text, sizeof text, strchr(host, ':') != NULL ? "[%.63s]:%.8s" : "%.63s:%.8s",
            host, string_in(value, "service"));
    return set_bounded(&watched->found.vnc, 128, text);
}

static void take_devices(struct ph_watched *watched, const json_t *value)
{
    json_t *device;
    size_t i;
    watched->agent_there = false;
    json_array_foreach(value, i, device) if (strcmp(string_in(device, "label"), "agent0") == 0)
        watched->agent_there = json_is_true(json_object_get(device, "frontend-open"));
    if (!watched->agent_there)
        ph_texts_fini(&watched->found.addresses);
}

int ph_watch_answer(struct ph_watched *watched, size_t index, const json_t *value)
{
    switch (index) {
    case 0:
        if (strcmp(string_in(value, "status"), "running") == 0 &&
            ph_set_text(&watched->found.reason, NULL) != 0)
            return -ENOMEM;
        return set_bounded(&watched->found.guest, 64, string_in(value, "status"));
    case 1:
        return take_accelerator(watched, value);
    case 2:
        take_disks(watched, value);
        return 0;
    case 3:
        return take_vnc(watched, value);
    default:
        take_devices(watched, value);
        return 0;
    }
}

bool ph_watch_event(struct ph_watched *watched, const char *event, const json_t *data)
{
    static const char *const telling[] = {"STOP", "RESUME", "RESET", "SHUTDOWN", "POWERDOWN",
        "BLOCK_IO_ERROR", "GUEST_PANICKED", "GUEST_CRASHLOADED", "WATCHDOG", "SUSPEND", "WAKEUP",
        "VSERPORT_CHANGE", "VNC_INITIALIZED", "DEVICE_DELETED", "BLOCK_JOB_COMPLETED"};
    char text[200];
    if (strcmp(event, "BLOCK_IO_ERROR") == 0) {
        ph_text_format(text, sizeof text, "%.8s of disk %.40s failed: %.100s",
            string_in(data, "operation"), string_in(data, "node-name"), string_in(data, "reason"));
        (void)set_bounded(&watched->found.reason, 200, text);
    } else if (strcmp(event, "GUEST_PANICKED") == 0) {
        (void)ph_set_text(&watched->found.reason, "the guest's kernel panicked");
    }
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
        if (strcmp(telling[i], event) == 0)
            return true;
    return false;
}

int ph_watch_interfaces(struct ph_watched *watched, const json_t *value)
{
    struct ph_texts found = {0, NULL};
    json_t *interface, *address;
    size_t i, j;
    int rv = 0;
    json_array_foreach(value, i, interface)
    {
        if (strcmp(string_in(interface, "name"), "lo") == 0)
            continue;
        json_array_foreach(json_object_get(interface, "ip-addresses"), j, address)
        {
            const char *text = string_in(address, "ip-address");
            bool plain = text[0] != '\0' && strlen(text) < 64 &&
                         strspn(text, "0123456789abcdefABCDEF.:%") >= strcspn(text, "%");
            char shown[65];
            ph_text_printable(shown, sizeof shown, text);
            if (rv == 0 && plain && found.count < ADDRESSES_MAX && !ph_texts_contain(&found, shown))
                rv = ph_texts_add(&found, shown);
        }
    }
    if (rv != 0) {
        ph_texts_fini(&found);
        return rv;
    }
    ph_texts_fini(&watched->found.addresses);
    watched->found.addresses = found;
    return 0;
}

static bool same(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool far(int64_t a, int64_t b)
{
    int64_t apart = a > b ? a - b : b - a, larger = a > b ? a : b;
    return apart >= USE_STEP_MIB && apart > larger / 8;
}

bool ph_watch_worth_telling(const struct ph_watched *watched, uint64_t now_ms)
{
    const struct ph_vm_report *found = &watched->found, *told = &watched->told;
    if (!watched->told_any || !same(found->guest, told->guest) ||
        !same(found->accelerator, told->accelerator) || !same(found->vnc, told->vnc) ||
        !same(found->reason, told->reason) || !ph_texts_equal(&found->addresses, &told->addresses))
        return true;
    return now_ms >= watched->told_ms + USE_TOLD_MS &&
           (far(found->memory_used_mib, told->memory_used_mib) ||
               far(found->disk_used_mib, told->disk_used_mib));
}
