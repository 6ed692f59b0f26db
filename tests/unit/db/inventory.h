/* A small inventory with a secret in every place that must not be shown, and a reader for it. */
#ifndef PH_TESTS_UNIT_DB_INVENTORY_H
#define PH_TESTS_UNIT_DB_INVENTORY_H

#include "support.h"

static struct bed bed;
static struct ph_reader *reader;

#define NODE_KEY "NODEKEYnodekeyNODEKEYnodekeyNODEKEY00001"
#define PERSON_KEY "PERSONKEYpersonkeyPERSONKEYpersonkey0002"
#define TOKEN_HASH "TOKENHASHtokenhash"
#define META_SECRET "METASECRET"

static inline void save(const struct ph_record *record, const void *row)
{
    assert_int_equal(bed_save(&bed, record, row), PH_STORE_OK);
}

static inline int set_up(void **state)
{
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    char *labels[] = {(char[]){"rack=a"}, (char[]){"ssd=yes"}};
    struct ph_node node = {
        .name = "n1", .public_key = (char[]){NODE_KEY}, .labels = {.count = 2, .items = labels}};
    save(&ph_record_node, &node);
    node.state = PH_NODE_ONLINE; /* so that history has the key as well */
    save(&ph_record_node, &node);
    struct ph_pool pool = {.name = "web", .node = "n1", .epoch = 3, .state = PH_POOL_ACTIVE};
    save(&ph_record_pool, &pool);
    pool = (struct ph_pool){.name = "mail"};
    save(&ph_record_pool, &pool);
    for (int i = 0; i < 3; i++) {
        struct ph_vm vm = {.pool = "web", .position = i};
        snprintf(vm.name, sizeof vm.name, "vm%d", i);
        save(&ph_record_vm, &vm);
    }
    struct ph_replica replica = {.pool = "web", .node = "n2"};
    save(&ph_record_replica, &replica);
    struct ph_job job = {.id = 1, .pool = "web"};
    save(&ph_record_job, &job);
    struct ph_event event = {.id = 1, .pool = "web", .at = 1700000000123};
    save(&ph_record_event, &event);
    struct ph_identity identity = {
        .name = "alice", .public_key = (char[]){PERSON_KEY}, .token_hash = (char[]){TOKEN_HASH}};
    save(&ph_record_identity, &identity);
    identity = (struct ph_identity){.name = "bob", .token_hash = (char[]){TOKEN_HASH}};
    save(&ph_record_identity, &identity);
    struct ph_meta meta = {.key = "cluster_secret", .value = (char[]){META_SECRET}};
    save(&ph_record_meta, &meta);
    bed_reader(&bed, &reader);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    ph_reader_destroy(&reader);
    bed_fini(&bed);
    return 0;
}

#endif
