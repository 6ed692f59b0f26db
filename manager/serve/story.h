/*
 * The story of a job, told from the inventory: works after any restart, as long as the events are kept.
 * Reads only. Runs on a worker's thread.
 *
 * A take-over begins before its job does, with a node that falls silent, and several jobs can come of
 * one silence. So a story is a span of events, and in it everything about the same nodes and the same
 * pool; whoever writes an event about a node or a pool (a witness's promise, a fence run, ...) has told
 * it in every story that it belongs to, whatever its kind.
 *
 *     begins with  the silence of the job's node that was not over when the job began, if there is one
 *                  (take-over, fence); else with the job's first event
 *     ends with    whatever happened in the moment of the job's end
 *     has in it    events of the job and of its children, wherever they are;
 *                  and in the span: of the nodes that these name, of the job's pool, of the cluster
 */
#ifndef PH_SERVE_STORY_H
#define PH_SERVE_STORY_H

#include "db/store.h"
#include "poolherd/error.h"
#include "proto/catalogue.h"

/* Fills a zeroed story, which is the caller's, also on failure. 0, -ENOENT with PH_NOT_FOUND (no such
 * job, or it is older than jobs are kept), or what the store says. */
int serve_story(
    struct ph_store *store, int64_t job, struct ph_story *story_out, struct ph_error *error);

#endif
