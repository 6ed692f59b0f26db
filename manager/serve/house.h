/* The manager's directory: its lock, its keys, and where clients find it. Private. */
#ifndef PH_SERVE_HOUSE_H
#define PH_SERVE_HOUSE_H

#include "manager/serve/settings.h"
#include "proto/keys.h"

#define SERVE_ADMIN "admin"

struct serve_house {
    char directory[SERVE_PATH_BYTES];
    char database[SERVE_PATH_BYTES];
    int lock_fd;                     /* -1: not held */
    struct ph_identity_file manager; /* the server's key pair */
    struct ph_identity_file admin;   /* the first operator */
    char endpoint[256];              /* as bound last time, "" at first */
};

/* Makes what is missing, checks what is there, takes the lock. -EWOULDBLOCK: another manager runs on
 * it; *error names its pid. */
int serve_house_open(const char *directory, struct serve_house *house, struct ph_error *error);
void serve_house_close(struct serve_house *house);

/* Stores where the manager can be reached now, for `--manager DIR`. */
int serve_house_announce(struct serve_house *house, const char *endpoint, struct ph_error *error);

/* `endpoint` with an address that a client on this machine (or, `far`, on another) can connect to,
 * where it was bound to every address. */
void serve_endpoint_reachable(const char *endpoint, bool far, char *out, size_t size);

#endif
