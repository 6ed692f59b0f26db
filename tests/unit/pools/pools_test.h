/* Two nodes in one process: a directory, an identity and a stream server each. */
#ifndef PH_POOLS_TEST_H
#define PH_POOLS_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent/pools/driver.h"
#include "agent/pools/site.h"
#include "agent/pools/tree.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"

#define NODES 3

struct node {
    char name[8];
    char directory[PATH_MAX];
    struct ph_identity_file identity;
    struct ph_stream_server *server;
    struct ph_peer peer;
    atomic_bool cancelled;
};

static struct {
    char top[PATH_MAX];
    const struct ph_pool_driver *driver;
    struct ph_pool pool;
    struct node nodes[NODES];
    struct ph_error error;
    struct ph_pool_copy copy;
    int64_t stream_bytes; /* of the last copy */
    uint32_t connect_ms;
    bool verify;        /* the next copies trust nothing */
    int64_t spoilt;     /* of the last copy */
    const char *active; /* what is active, below the pool's directory: data, mount */
} world;

/* "../" leads to what stands beside the pool's directory, which need not be there. */
static void path_in(const struct node *node, const char *relative, char out[PATH_MAX])
{
    if (strncmp(relative, "../", 3) == 0) {
        assert_true(
            ph_text_format(out, PATH_MAX, "%s/pools/%s", node->directory, relative + 3) < PATH_MAX);
        return;
    }
    assert_true(
        ph_text_format(out, PATH_MAX, "%s/pools/web/%s", node->directory, relative) < PATH_MAX - 1);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal((ssize_t)strlen(text), write(fd, text, strlen(text)));
    close(fd);
}

static inline void put(const struct node *node, const char *name, const char *text)
{
    char relative[PATH_MAX], path[PATH_MAX];
    ph_text_format(relative, sizeof relative, "%s/%s", world.active, name);
    path_in(node, relative, path);
    write_file(path, text);
}

static inline bool has(const struct node *node, const char *relative)
{
    struct stat status;
    char path[PATH_MAX];
    path_in(node, relative, path);
    return lstat(path, &status) == 0;
}

/* "" when it is not there. The text is good until the next call. */
static const char *text_at(const char *path)
{
    static char *text;
    size_t bytes;
    free(text);
    text = NULL;
    return ph_file_read(path, 8 << 20, &text, &bytes) == 0 ? text : "";
}

static inline const char *get(const struct node *node, const char *relative)
{
    char path[PATH_MAX];
    path_in(node, relative, path);
    return text_at(path);
}

static struct ph_pool_context context_of(struct node *node, int64_t epoch)
{
    return (struct ph_pool_context){.driver = world.driver,
        .directory = node->directory,
        .pool = &world.pool,
        .epoch = epoch,
        .cancelled = &node->cancelled};
}

static inline int activate(struct node *node, int64_t epoch, bool create)
{
    struct ph_pool_context context = context_of(node, epoch);
    char path[PATH_MAX], expected[PATH_MAX];
    memset(&world.error, 0, sizeof world.error);
    int rv = world.driver->activate(&context, create, path, &world.error);
    if (rv == 0) {
        path_in(node, world.active, expected);
        assert_string_equal(expected, path);
    } else {
        assert_true(world.error.message[0] != '\0');
    }
    return rv;
}

static inline int deactivate(struct node *node, int64_t epoch)
{
    struct ph_pool_context context = context_of(node, epoch);
    memset(&world.error, 0, sizeof world.error);
    return world.driver->deactivate(&context, &world.error);
}

static inline int drop(struct node *node, int64_t epoch)
{
    struct ph_pool_context context = context_of(node, epoch);
    memset(&world.error, 0, sizeof world.error);
    return world.driver->drop(&context, &world.error);
}

static inline struct ph_pool_data inspect(struct node *node)
{
    struct ph_pool_context context = context_of(node, 0);
    struct ph_pool_data data;
    assert_int_equal(0, world.driver->inspect(&context, &data));
    return data;
}

static inline void assert_point(struct node *node, int64_t epoch, int64_t sequence, bool active)
{
    struct ph_pool_data data = inspect(node);
    if (data.copy_epoch != epoch || data.copy_sequence != sequence || data.active_data != active)
        fail_msg("%s has %lld.%lld active %d, not %lld.%lld active %d", node->name,
            (long long)data.copy_epoch, (long long)data.copy_sequence, data.active_data,
            (long long)epoch, (long long)sequence, active);
}

/* What an agent does: allow at the holder, open, connect, send. */
static inline void allow(struct node *holder, struct node *owner, int64_t epoch)
{
    struct ph_order order;
    memset(&order, 0, sizeof order);
    order.kind = PH_ORDER_HOLD;
    order.epoch = epoch;
    assert_int_equal(0, ph_record_copy(&ph_record_pool, &order.pool, &world.pool));
    struct ph_peer *source = ph_many_add(&ph_record_peer, (struct ph_many *)&order.sources);
    assert_int_equal(0, ph_record_copy(&ph_record_peer, source, &owner->peer));
    assert_int_equal(0, ph_stream_server_allow(holder->server, &order));
    ph_record_fini(&ph_record_order, &order);
}

static inline int copy(struct node *owner, struct node *holder, int64_t epoch, bool last)
{
    struct ph_pool_context context = context_of(owner, epoch);
    struct ph_stream_open open;
    struct ph_stream *stream = NULL;
    memset(&open, 0, sizeof open);
    memset(&world.error, 0, sizeof world.error);
    int rv = world.driver->open(&context, &open, &world.error);
    if (rv != 0)
        return rv;
    open.verify = world.verify;
    rv = ph_stream_connect(&owner->identity, &holder->peer, &open, &owner->cancelled,
        world.connect_ms, &stream, &world.error);
    if (rv == 0)
        rv = world.driver->send(&context, stream, last, &world.copy, &world.error);
    world.stream_bytes = stream != NULL ? ph_stream_bytes(stream) : 0;
    world.spoilt = stream != NULL ? ph_stream_spoilt(stream) : 0;
    ph_stream_destroy(&stream);
    ph_record_fini(&ph_record_stream_open, &open);
    if (rv != 0)
        assert_true(world.error.message[0] != '\0');
    return rv;
}

static inline void must_copy(struct node *owner, struct node *holder, int64_t epoch, bool last)
{
    allow(holder, owner, epoch);
    int rv = copy(owner, holder, epoch, last);
    if (rv != 0)
        fail_msg("copy %s to %s under %lld: %d %s", owner->name, holder->name, (long long)epoch, rv,
            world.error.message);
    assert_true(!last || world.copy.hash[0] != '\0');
}

#define must_activate(node, epoch, create)                                                         \
    do {                                                                                           \
        if (activate(node, epoch, create) != 0)                                                    \
            fail_msg("activate: %s", world.error.message);                                         \
    } while (0)

static inline void move(struct node *from, struct node *to, int64_t epoch)
{
    assert_int_equal(0, deactivate(from, epoch));
    must_copy(from, to, epoch, true);
    must_activate(to, epoch + 1, false);
}

static inline void start_server(struct node *node)
{
    struct ph_error error = {0};
    struct ph_stream_server_config config = {.identity = &node->identity,
        .listen = "tcp://127.0.0.1:*",
        .directory = node->directory,
        .find_driver = ph_pool_driver_find};
    assert_int_equal(0, ph_stream_server_start(&config, &node->server, &error));
    assert_int_equal(0, ph_set_text(&node->peer.endpoint, ph_stream_server_endpoint(node->server)));
}

static inline void world_init(const char *driver, const char *top)
{
    memset(&world, 0, sizeof world);
    world.connect_ms = 5000;
    world.active = strcmp(driver, "image") == 0 ? "mount" : "data";
    ph_text_format(world.top, sizeof world.top, "%s", top);
    world.driver = ph_pool_driver_find(driver);
    assert_non_null(world.driver);
    ph_text_format(world.pool.name, sizeof world.pool.name, "web");
    ph_text_format(world.pool.driver, sizeof world.pool.driver, "%s", driver);
    for (int i = 0; i < NODES; i++) {
        struct node *node = &world.nodes[i];
        ph_text_format(node->name, sizeof node->name, "n%d", i + 1);
        assert_int_equal(0, ph_path_join(node->directory, sizeof node->directory, top, node->name));
        assert_int_equal(0, ph_directory_make(node->directory));
        assert_int_equal(0, ph_identity_make(node->name, &node->identity));
        ph_text_format(node->peer.node, sizeof node->peer.node, "%s", node->name);
        assert_int_equal(0, ph_set_text(&node->peer.public_key, node->identity.public_key));
        start_server(node);
    }
}

static inline void world_fini(void)
{
    for (int i = 0; i < NODES; i++) {
        ph_stream_server_stop(&world.nodes[i].server);
        ph_record_fini(&ph_record_peer, &world.nodes[i].peer);
    }
    (void)text_at("/nonexistent");
}

static inline void hash_of(const struct node *node, const char *relative, char out[65])
{
    struct ph_tree_content content;
    char path[PATH_MAX];
    path_in(node, relative, path);
    assert_int_equal(0, ph_tree_measure(path, true, 0, NULL, &content, NULL));
    memcpy(out, content.hash, 65);
}

static inline char *make_top(char out[PATH_MAX])
{
    const char *temporary = getenv("TMPDIR");
    ph_text_format(out, PATH_MAX, "%s/poolherd-pools-XXXXXX", temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(out));
    return out;
}

#endif
