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

/* Rewrites a complaint of the manager ("pools[3].cpu") in terms of the file: "FILE:LINE: size.cpu". */
void ph_declaration_locate(const struct ph_yaml *root, const char *file, struct ph_error *error);

#endif
