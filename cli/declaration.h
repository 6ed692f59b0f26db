/*
 * Declarations as people write them, and the records that the manager takes. Private to cli/.
 */
#ifndef PH_CLI_DECLARATION_H
#define PH_CLI_DECLARATION_H

#include "proto/catalogue.h"
#include "proto/yaml.h"

/* Reads a file ("-": standard input) into pool_spec records. *pools is initialised; on failure it is
 * left empty. *root_out keeps the tree, so that the manager's complaints can be given a line.
 * -EINVAL with file, line, field, value and what would be right. */
int ph_declaration_read(const char *path, struct ph_pool_spec_list *pools,
    struct ph_yaml **root_out, struct ph_error *error);

/* As above from memory; `file` is for messages. */
int ph_declaration_parse(const char *text, size_t bytes, const char *file,
    struct ph_pool_spec_list *pools, struct ph_yaml **root_out, struct ph_error *error);

/* One file may hold pools and fence devices; each command reads its own section and leaves the other be. */
struct ph_declaration_section {
    struct ph_yaml mapping; /* with that one key, or without any; borrows from the tree */
    struct ph_yaml *key, *item;
};
/* -EINVAL when the file has a key that is no section. */
int ph_declaration_cut(const struct ph_yaml *root, const char *file, const char *name,
    struct ph_declaration_section *section, struct ph_error *error);

/* Reads the section `fencing` of a file ("-": standard input); the rest as above. */
int ph_declaration_read_fencing(const char *path, struct ph_fence_node_list *fencing,
    struct ph_yaml **root_out, struct ph_error *error);
int ph_declaration_parse_fencing(const char *text, size_t bytes, const char *file,
    struct ph_fence_node_list *fencing, struct ph_yaml **root_out, struct ph_error *error);

/* Rewrites a complaint of the manager ("pools[3].cpu", "fencing[0].devices[1].agent") in terms of the file: "FILE:LINE: size.cpu". */
void ph_declaration_locate(const struct ph_yaml *root, const char *file, struct ph_error *error);

#endif
