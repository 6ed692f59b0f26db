/*
 * Read-only SQL for people over documented views (docs/inventory.md), on a connection of its own.
 *
 * Views: nodes, pools, vms, replicas, jobs, events, identities (without keys and tokens),
 * nodes_history, pools_history, vms_history (valid_from, valid_to). With as_of, nodes, pools and vms
 * show what was true at that moment, events those until then, and replicas, jobs and identities,
 * which keep no history, are refused with a clear error; so is a moment whose history was trimmed.
 * SQLite's authorizer allows SELECT over these views and safe functions only.
 */
#ifndef PH_DB_QUERY_H
#define PH_DB_QUERY_H

#include <stdint.h>
#include "poolherd/error.h"
#include "proto/catalogue.h"

struct ph_reader; /* one per thread */

int ph_reader_open(const char *path, struct ph_reader **reader_out, struct ph_error *error);
void ph_reader_destroy(struct ph_reader **reader);

/* Called with each part of the result: `rows_json` is the text of a JSON array of objects of at most
 * about 1 MiB, borrowed during the call; `more` says that another part follows. Returning non-zero
 * ends the query with -ECANCELED. */
typedef int ph_query_part(void *context, const struct ph_texts *columns, const char *rows_json,
    size_t bytes, int64_t rows, bool more);

/* Runs one statement. -EINVAL with a message for a person (syntax, not a SELECT, more than one
 * statement, something not allowed), -ETIMEDOUT, -E2BIG (row limit). NaN and infinities become null,
 * blobs hex strings, malformed UTF-8 and NUL become U+FFFD, equal column names get a suffix. Parts may
 * have been handed out before an error; a result without an error ends with a part whose `more` is
 * false. timeout_ms and rows_max of 0, or above the most allowed, mean the most allowed. */
int ph_reader_query(struct ph_reader *reader, const struct ph_query *query, ph_query_part *part,
    void *context, struct ph_error *error);

#endif
