/* What the agent asks of the guard, message by message. */
#include "agent/guard/server.h"

#include <errno.h>
#include <string.h>
#include "agent/guard/process.h"
#include "agent/guard/protocol.h"
#include "base/clock.h"
#include "base/text.h"

static bool message_valid(const struct ph_guard_message *message)
{
    if (message->version != PH_GUARD_VERSION ||
        memchr(message->pool, '\0', sizeof message->pool) == NULL ||
        memchr(message->mark, '\0', sizeof message->mark) == NULL ||
        memchr(message->text, '\0', sizeof message->text) == NULL)
        return false;
    return message->word == PH_GUARD_HELLO || message->word == PH_GUARD_STOP ||
           ph_name_valid(message->pool);
}

static int item_add(struct ph_guard_server *server, const struct ph_guard_message *message)
{
    struct ph_process leader = {.start_time = 0};
    struct ph_guard_pool *pool;
    int rv = 0;
    /* Without a lease nothing may run, so there is nothing to register; a task that comes late must not
     * believe that somebody will stop what it starts. */
    if (server->ending || atomic_load(&server->page->deadline_ms) == 0)
        return -ESTALE;
    pool = ph_guard_table_find(&server->table, message->pool);
    if (pool == NULL && message->word != PH_GUARD_ADD_POOL)
        return -ENOENT;
    if (pool != NULL && pool->phase != PH_GUARD_CALM)
        return -EBUSY;
    if (message->word == PH_GUARD_ADD_GROUP) {
        rv = ph_process_read(message->group, &leader);
        if (rv == 0)
            rv = ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, message->group, leader.start_time);
    } else if (message->word == PH_GUARD_ADD_MOUNT) {
        rv = ph_guard_pool_add(pool, PH_ITEM_MOUNT, message->text, 0, 0);
    } else if (message->word == PH_GUARD_ADD_VOLUME || message->word == PH_GUARD_ADD_RELEASE) {
        rv = ph_guard_pool_add(pool,
            message->word == PH_GUARD_ADD_VOLUME ? PH_ITEM_VOLUME : PH_ITEM_RELEASE, message->text,
            0, 0);
    } else {
        pool = ph_guard_table_add(&server->table, message->pool);
        if (pool == NULL)
            return -ENOSPC;
        if (message->mark[0] != '\0')
            rv = ph_guard_pool_add(pool, PH_ITEM_MARK, message->mark, 0, 0);
        if (rv == 0 && message->text[0] != '\0')
            rv = ph_guard_pool_add(pool, PH_ITEM_CGROUP, message->text, 0, 0);
    }
    return rv != 0 ? rv : ph_guard_server_store(server);
}

static int pool_remove(struct ph_guard_server *server, const char *name)
{
    struct ph_guard_pool *pool = ph_guard_table_find(&server->table, name);
    if (pool == NULL)
        return 0;
    /* Forgetting what runs would be the one way to lose it. */
    if (pool->phase != PH_GUARD_CALM || ph_guard_runs(pool))
        return -EBUSY;
    ph_guard_table_remove(&server->table, name);
    return ph_guard_server_store(server);
}

static void pool_kill(struct ph_guard_server *server, int index,
    const struct ph_guard_message *message, uint64_t now_ms)
{
    struct ph_guard_pool *pool = ph_guard_table_find(&server->table, message->pool);
    if (pool == NULL || pool->asker >= 0) {
        ph_guard_server_answer(server, index, message->number, pool == NULL ? 0 : -EALREADY);
        return;
    }
    pool->asker = index;
    pool->asker_number = message->number;
    pool->asker_deadline_ms = now_ms + message->value_ms;
    if (pool->phase == PH_GUARD_CALM)
        ph_guard_kill_start(pool, false);
    ph_guard_server_hurry(server, now_ms);
}

static void hello(struct ph_guard_server *server, int index, const struct ph_guard_message *message)
{
    struct ph_watchdog *watchdog = &server->watchdog;
    server->connections[index].news = message->group == 1;
    if (message->value_ms > 0)
        server->stop_ms = message->value_ms;
    ph_watchdog_want(watchdog, message->text, message->status > 0 ? message->status : 0);
    for (size_t i = 0; i < server->table.count; i++)
        server->table.pools[i].told_stuck = false; /* who is new has not heard of it */
    struct ph_guard_message answer = {.version = PH_GUARD_VERSION,
        .word = PH_GUARD_ANSWER,
        .number = message->number,
        .value_ms = watchdog->timeout_ms};
    ph_text_format(answer.text, sizeof answer.text, "%s", watchdog->problem);
    ph_guard_server_send(server, index, &answer);
}

void ph_guard_request(
    struct ph_guard_server *server, int index, const struct ph_guard_message *message)
{
    uint64_t now_ms = ph_clock_boot_ms();
    int rv = -EPROTO;
    ph_guard_server_check(server, now_ms);
    if (message_valid(message)) {
        switch (message->word) {
        case PH_GUARD_HELLO:
            hello(server, index, message);
            return;
        case PH_GUARD_ADD_POOL:
        case PH_GUARD_ADD_GROUP:
        case PH_GUARD_ADD_MOUNT:
        case PH_GUARD_ADD_VOLUME:
        case PH_GUARD_ADD_RELEASE:
            rv = item_add(server, message);
            break;
        case PH_GUARD_REMOVE_POOL:
            rv = pool_remove(server, message->pool);
            break;
        case PH_GUARD_KILL_POOL:
            pool_kill(server, index, message, now_ms);
            return;
        case PH_GUARD_STOP:
            ph_guard_server_leave(server);
            rv = 0;
            break;
        default:
            break;
        }
    }
    ph_guard_server_answer(server, index, message->number, rv);
}
