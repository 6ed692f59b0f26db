#include "cli/declaration.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"

/* Fields whose place in the file is not their name in pool_spec. */
static const struct {
    const char *spec, *written;
} places[] = {{"cpu", "size.cpu"}, {"memory_mib", "size.memory_mib"}, {"disk_mib", "size.disk_mib"},
    {"allow", "nodes.allow"}, {"prefer", "nodes.prefer"}, {"together", "together_with"},
    {"apart", "apart_from"}, {"failback_at", "failback"}};

/* The value at "size.cpu" below a mapping: the deepest that exists. */
static const struct ph_yaml *look_up(const struct ph_yaml *mapping, const char *path)
{
    while (mapping && *path) {
        char key[128];
        size_t length = strcspn(path, ".[");
        ph_text_format(key, sizeof(key), "%.*s", (int)length, path);
        const struct ph_yaml *next =
            mapping->kind == PH_YAML_MAPPING ? ph_yaml_get(mapping, key) : NULL;
        path += length;
        if (next && *path == '[') {
            size_t index = strtoul(path + 1, NULL, 10);
            if (next->kind == PH_YAML_SEQUENCE && index < next->count)
                next = next->items[index];
            path += strcspn(path, "]");
            path += *path ? 1 : 0;
        }
        if (!next)
            break;
        mapping = next;
        path += *path == '.' ? 1 : 0;
    }
    return mapping;
}

static const char *written_as(const char *field)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (strcmp(places[i].spec, field) == 0)
            return places[i].written;
    return field;
}

/* Of a section that is written as it is sent. */
static void locate_as_it_stands(
    const struct ph_yaml *root, const char *file, struct ph_error *error)
{
    char field[sizeof(error->field)];
    const struct ph_yaml *at = look_up(root, error->field);
    ph_text_format(field, sizeof(field), "%.60s:%d: %s", file, at ? at->line : 1, error->field);
    memcpy(error->field, field, sizeof(field));
}

void ph_declaration_locate(const struct ph_yaml *root, const char *file, struct ph_error *error)
{
    unsigned long index = 0;
    int used = 0;
    if (strncmp(error->field, "fencing[", 8) == 0) {
        locate_as_it_stands(root, file, error);
        return;
    }
    /* NOLINTNEXTLINE(cert-err34-c): a number too large is past the end, which is looked at below */
    if (sscanf(error->field, "pools[%lu].%n", &index, &used) != 1 || used == 0)
        return;
    const struct ph_yaml *pools = ph_yaml_get(root, "pools");
    if (!pools || pools->kind != PH_YAML_SEQUENCE || index >= pools->count)
        return;
    const char *written = written_as(error->field + used);
    const struct ph_yaml *at = look_up(pools->items[index], written);
    char field[sizeof(error->field)];
    ph_text_format(
        field, sizeof(field), "%s:%d: pools[%lu].%s", file, at ? at->line : 1, index, written);
    memcpy(error->field, field, sizeof(field));
}

/* Processors as written ("2", "0.5") in thousandths. */
static int read_cpu(const char *text, int64_t *thousandths_out)
{
    int64_t whole = 0, part = 0, scale = 100;
    const char *at = text;
    if (!isdigit((unsigned char)*at))
        return -EINVAL;
    for (; isdigit((unsigned char)*at); at++)
        if ((whole = whole * 10 + (*at - '0')) > 1000)
            return -EINVAL;
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at); at++, scale /= 10)
            part += (*at - '0') * scale;
    if (*at)
        return -EINVAL;
    *thousandths_out = whole * 1000 + part;
    return 0;
}

static int read_failback(const char *text, struct ph_pool_spec *spec)
{
    if (!text || strcmp(text, "no") == 0 || strcmp(text, "false") == 0) {
        spec->failback = PH_FAILBACK_NO;
        return 0;
    }
    if (strcmp(text, "yes") == 0 || strcmp(text, "true") == 0) {
        spec->failback = PH_FAILBACK_YES;
        return 0;
    }
    spec->failback = PH_FAILBACK_AT;
    if (strlen(text) != 5 || text[2] != ':' || !isdigit((unsigned char)text[0]) ||
        !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[3]) ||
        !isdigit((unsigned char)text[4]) || strtol(text, NULL, 10) > 23 ||
        strtol(text + 3, NULL, 10) > 59)
        return -EINVAL;
    return ph_set_text(&spec->failback_at, text);
}

/* Moves what the two records share and translates the rest. */
static int convert(
    struct ph_pool_declaration *from, struct ph_pool_spec *to, struct ph_error *error)
{
    char shown[64];
    memcpy(to->name, from->name, sizeof(to->name));
    memcpy(to->driver, from->driver, sizeof(to->driver));
    to->desired = from->desired;
    to->priority = from->priority;
    to->copies = from->copies;
    to->sync_interval_s = from->sync_interval_s;
    to->max_data_loss_s = from->max_data_loss_s;
    to->verify_interval_s = from->verify_interval_s;
    to->bandwidth_kib_s = from->bandwidth_kib_s;
    to->memory_mib = from->size.memory_mib;
    to->disk_mib = from->size.disk_mib;
    if (from->size.cpu && read_cpu(from->size.cpu, &to->cpu) != 0)
        return ph_error_set(error, PH_BAD_INPUT, "cpu",
            "\"%s\" is no number of processors; 0 to 1000, such as 2 or 0.5, is",
            ph_text_printable(shown, sizeof(shown), from->size.cpu));
    int rv = read_failback(from->failback, to);
    if (rv == -EINVAL)
        return ph_error_set(error, PH_BAD_INPUT, "failback",
            "\"%s\" is neither no, yes nor a time of day such as \"03:00\"",
            ph_text_printable(shown, sizeof(shown), from->failback));
    struct {
        struct ph_texts *to, *from;
    } texts[] = {{&to->allow, &from->nodes.allow}, {&to->prefer, &from->nodes.prefer},
        {&to->together, &from->together_with}, {&to->apart, &from->apart_from}};
    for (size_t i = 0; rv == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i].to = *texts[i].from;
        *texts[i].from = (struct ph_texts){0};
    }
    to->image = from->image; /* moved, as the others are */
    to->shared = from->shared;
    to->ocf = from->ocf;
    memset(&from->image, 0, sizeof(from->image));
    memset(&from->shared, 0, sizeof(from->shared));
    memset(&from->ocf, 0, sizeof(from->ocf));
    to->vms = from->vms;
    from->vms = (struct ph_vm_spec_list){0};
    return rv == 0 ? 0 : ph_error_set(error, PH_FAILED, NULL, "out of memory");
}

static void forget(struct ph_pool_spec_list *pools)
{
    for (size_t i = 0; i < pools->count; i++)
        ph_record_fini(&ph_record_pool_spec, &pools->items[i]);
    free(pools->items);
    *pools = (struct ph_pool_spec_list){0};
}

int ph_declaration_cut(const struct ph_yaml *root, const char *file, const char *name,
    struct ph_declaration_section *section, struct ph_error *error)
{
    static const char *const known[] = {"pools", "fencing"};
    section->mapping = *root;
    if (root->kind != PH_YAML_MAPPING)
        return 0; /* which is complained about when it is read */
    int rv = ph_yaml_check_keys(root, known, 2, file, "", error);
    section->mapping.count = 0;
    for (size_t i = 0; rv == 0 && i < root->count; i++) {
        if (strcmp(root->keys[i]->text, name) != 0)
            continue;
        section->key = root->keys[i];
        section->item = root->items[i];
        section->mapping.count = 1;
    }
    section->mapping.keys = &section->key;
    section->mapping.items = &section->item;
    return rv;
}

static int read_fencing(const struct ph_yaml *root, const char *file,
    struct ph_fence_node_list *fencing, struct ph_error *error)
{
    struct ph_fencing_declaration declaration = {0};
    struct ph_declaration_section section;
    int rv = ph_declaration_cut(root, file, "fencing", &section, error);
    if (rv == 0)
        rv = ph_yaml_decode(
            &ph_record_fencing_declaration, &section.mapping, file, &declaration, error);
    if (rv == 0)
        *fencing = declaration.fencing;
    return rv;
}

int ph_declaration_parse_fencing(const char *text, size_t bytes, const char *file,
    struct ph_fence_node_list *fencing, struct ph_yaml **root_out, struct ph_error *error)
{
    int rv = ph_yaml_parse(text, bytes, file, root_out, error);
    return rv != 0 ? rv : read_fencing(*root_out, file, fencing, error);
}

int ph_declaration_read_fencing(const char *path, struct ph_fence_node_list *fencing,
    struct ph_yaml **root_out, struct ph_error *error)
{
    int rv = ph_yaml_read(path, root_out, error);
    return rv != 0
               ? rv
               : read_fencing(*root_out, strcmp(path, "-") == 0 ? "stdin" : path, fencing, error);
}

static int read_tree(const struct ph_yaml *root, const char *file, struct ph_pool_spec_list *pools,
    struct ph_error *error)
{
    struct ph_declaration declaration = {0};
    struct ph_declaration_section section;
    int rv = ph_declaration_cut(root, file, "pools", &section, error);
    if (rv == 0)
        rv = ph_yaml_decode(&ph_record_declaration, &section.mapping, file, &declaration, error);
    for (size_t i = 0; rv == 0 && i < declaration.pools.count; i++) {
        struct ph_pool_spec *spec = ph_many_add(&ph_record_pool_spec, (struct ph_many *)pools);
        rv = spec ? convert(&declaration.pools.items[i], spec, error)
                  : ph_error_set(error, PH_FAILED, NULL, "out of memory");
        if (rv != 0 && error->field[0]) {
            char field[sizeof(error->field)];
            ph_text_format(field, sizeof(field), "pools[%zu].%.100s", i, error->field);
            memcpy(error->field, field, sizeof(field));
            ph_declaration_locate(root, file, error);
        }
    }
    ph_record_fini(&ph_record_declaration, &declaration);
    if (rv != 0)
        forget(pools);
    return rv;
}

int ph_declaration_parse(const char *text, size_t bytes, const char *file,
    struct ph_pool_spec_list *pools, struct ph_yaml **root_out, struct ph_error *error)
{
    int rv = ph_yaml_parse(text, bytes, file, root_out, error);
    return rv != 0 ? rv : read_tree(*root_out, file, pools, error);
}

int ph_declaration_read(const char *path, struct ph_pool_spec_list *pools,
    struct ph_yaml **root_out, struct ph_error *error)
{
    int rv = ph_yaml_read(path, root_out, error);
    return rv != 0 ? rv
                   : read_tree(*root_out, strcmp(path, "-") == 0 ? "stdin" : path, pools, error);
}
