/* Requests the core has not answered yet: where their answers go. Private. */
#ifndef PH_SERVE_REQUESTS_H
#define PH_SERVE_REQUESTS_H

#include <stdbool.h>
#include "proto/catalogue.h"
#include "proto/wire/wire.h"

#define SERVE_REQUESTS_MAX 1024 /* open at once */

struct serve_request {
    uint64_t handle;
    int64_t id; /* the asker's number */
    enum ph_message_type type;
    char name[PH_NAME_BYTES_MAX + 1]; /* of an invite or a join: who it is about */
    struct ph_wire_peer peer;
};

struct serve_requests {
    uint64_t last_handle;
    size_t count, room;
    struct serve_request *items; /* ascending by handle */
};

/* A new one, to be filled in; NULL when there are too many. */
struct serve_request *serve_request_add(struct serve_requests *requests);
/* Takes one out. false: no such handle. */
bool serve_request_take(
    struct serve_requests *requests, uint64_t handle, struct serve_request *request_out);
void serve_requests_fini(struct serve_requests *requests);

#endif
