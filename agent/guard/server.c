#include "agent/guard/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/guard/process.h"
#include "agent/guard/protocol.h"
#include "agent/guard/system.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define ROUND_MS_FIRST 1   /* SIGKILL takes about that long */
#define ROUND_MS_MAX 20    /* within stop_ms */
#define ROUND_MS_STUCK 250 /* afterwards, for ever */
#define IDLE_MS 50         /* with an agent and no lease: how soon a new lease is noticed */
#define BLIND_MS 10        /* without a timer that knows of suspends */
#define BACKLOG 16

static void path_of(const struct ph_guard_server *server, const char *name, char out[PATH_MAX])
{
    if (ph_path_join(out, PATH_MAX, server->run_directory, name) != 0)
        out[0] = '\0'; /* refused when the server was made */
}

/* ---- the table's file */

int ph_guard_server_store(const struct ph_guard_server *server)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    size_t size;
    int rv = 0;
    char *text = ph_guard_table_encode(&server->table, server->boot_id, &size);
    if (text == NULL)
        return -ENOMEM;
    path_of(server, "state/table", path);
    path_of(server, "state/table.new", fresh);
    FILE *file = fopen(fresh, "w");
    if (file == NULL) {
        rv = -errno;
    } else {
        bool failed = fwrite(text, 1, size, file) != size;
        if (fclose(file) != 0 || failed || rename(fresh, path) != 0)
            rv = -EIO;
    }
    free(text);
    return rv;
}

static int table_load(struct ph_guard_server *server)
{
    char path[PATH_MAX];
    char *text;
    size_t size;
    path_of(server, "state/table", path);
    int rv = ph_file_read(path, PH_GUARD_TABLE_BYTES_MAX, &text, &size);
    if (rv == -ENOENT)
        return -ENOENT;
    if (rv != 0)
        return rv;
    rv = ph_guard_table_decode(&server->table, server->boot_id, text, size);
    free(text);
    return rv;
}

/* ---- talking */

static void connection_close(struct ph_guard_server *server, int index)
{
    close(server->connections[index].fd);
    server->connections[index] = (struct ph_guard_connection){.fd = -1};
    for (size_t i = 0; i < server->table.count; i++)
        if (server->table.pools[i].asker == index)
            server->table.pools[i].asker = -1; /* the kill goes on, nobody waits for it */
}

/* Never waits: an agent that does not read (hung, stopped) loses its connection and asks again. */
void ph_guard_server_send(
    struct ph_guard_server *server, int index, const struct ph_guard_message *message)
{
    int fd = server->connections[index].fd;
    if (fd >= 0 && send(fd, message, sizeof *message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        connection_close(server, index);
}

void ph_guard_server_answer(struct ph_guard_server *server, int index, uint64_t number, int status)
{
    struct ph_guard_message message = {
        .version = PH_GUARD_VERSION, .word = PH_GUARD_ANSWER, .number = number, .status = status};
    ph_guard_server_send(server, index, &message);
}

static void tell(struct ph_guard_server *server, enum ph_guard_word word, const char *pool)
{
    struct ph_guard_message message = {
        .version = PH_GUARD_VERSION, .word = word, .generation = server->ending_generation};
    ph_text_format(message.pool, sizeof message.pool, "%s", pool);
    for (int i = 0; i < PH_GUARD_CONNECTIONS_MAX; i++)
        if (server->connections[i].news)
            ph_guard_server_send(server, i, &message);
}

/* ---- the end of a lease */

void ph_guard_server_hurry(struct ph_guard_server *server, uint64_t now_ms)
{
    server->round_ms = now_ms;
    server->round_wait_ms = ROUND_MS_FIRST;
}

static void ending_start(
    struct ph_guard_server *server, int64_t generation, uint64_t deadline_ms, uint64_t now_ms)
{
    server->ending = true;
    server->ending_generation = generation;
    server->ending_since_ms = deadline_ms != 0 ? deadline_ms : now_ms;
    server->noticed_ms = now_ms;
    ph_guard_server_hurry(server, now_ms);
    for (size_t i = 0; i < server->table.count; i++)
        ph_guard_kill_start(&server->table.pools[i], true);
}

static void ending_finish(struct ph_guard_server *server, uint64_t now_ms)
{
    size_t pools = server->table.count;
    ph_guard_table_fini(&server->table);
    ph_guard_server_store(server);
    /* From here on the agent may begin the next lease. */
    ph_lease_mark_clean(server->page, server->ending_generation);
    server->ending = false;
    tell(server, PH_GUARD_NEWS_ENDED, "");
    ph_log(PH_LOG_NOTICE, "lease_ended",
        "generation=%lld pools=%zu noticed_late_ms=%llu stopped_after_ms=%llu",
        (long long)server->ending_generation, pools,
        (unsigned long long)(server->noticed_ms - server->ending_since_ms),
        (unsigned long long)(now_ms - server->ending_since_ms));
}

static void stuck_tell(struct ph_guard_server *server)
{
    char why[128];
    for (size_t i = 0; i < server->table.count; i++) {
        struct ph_guard_pool *pool = &server->table.pools[i];
        if (pool->phase == PH_GUARD_DONE || pool->told_stuck)
            continue;
        pool->told_stuck = true;
        tell(server, PH_GUARD_NEWS_STUCK, pool->name);
        ph_guard_say_stuck(pool, why, sizeof why);
        ph_log(PH_LOG_ERROR, "pool_stuck", "pool=%s generation=%lld after_ms=%llu what=\"%s\"",
            pool->name, (long long)server->ending_generation, (unsigned long long)server->stop_ms,
            why);
    }
}

/* Looks at the page. Every step and every registration begins with this. */
void ph_guard_server_check(struct ph_guard_server *server, uint64_t now_ms)
{
    uint64_t deadline_ms = atomic_load(&server->page->deadline_ms);
    int64_t generation;
    if (server->ending || !ph_lease_end_if_over(server->page, now_ms, &generation))
        return;
    /* Ended just now, or found ended and not clean: a begin that was cut short, a guard that died. */
    if (deadline_ms != 0 || generation > atomic_load(&server->page->clean))
        ending_start(server, generation, deadline_ms, now_ms);
}

void ph_guard_server_leave(struct ph_guard_server *server)
{
    uint64_t now_ms = ph_clock_boot_ms();
    server->leaving = true;
    int64_t generation = ph_lease_end(server->page);
    if (!server->ending)
        ending_start(server, generation, now_ms, now_ms);
}

/* Answers those who wait for one pool's end, with 0 or, when their time is up, -EBUSY. */
static void askers_answer(struct ph_guard_server *server, uint64_t now_ms)
{
    for (size_t i = 0; i < server->table.count; i++) {
        struct ph_guard_pool *pool = &server->table.pools[i];
        bool over = pool->asker >= 0 && now_ms >= pool->asker_deadline_ms;
        int asker = pool->asker;
        if (pool->phase == PH_GUARD_CALM || (pool->phase != PH_GUARD_DONE && !over))
            continue;
        pool->asker = -1;
        if (asker >= 0)
            ph_guard_server_answer(
                server, asker, pool->asker_number, pool->phase == PH_GUARD_DONE ? 0 : -EBUSY);
        if (!server->ending) {
            pool->phase = PH_GUARD_CALM;
            ph_guard_prune(pool);
        }
    }
}

static void rounds(struct ph_guard_server *server, uint64_t now_ms)
{
    size_t busy = 0;
    if (now_ms < server->round_ms)
        return;
    for (size_t i = 0; i < server->table.count; i++)
        busy += server->table.pools[i].phase != PH_GUARD_CALM;
    server->stopping.late =
        server->ending && now_ms >= server->ending_since_ms + server->stop_ms / 2;
    if (busy > 0)
        busy = ph_guard_round(&server->stopping, &server->table);
    askers_answer(server, now_ms);
    if (server->ending && busy == 0)
        ending_finish(server, now_ms);
    else if (server->ending && now_ms >= server->ending_since_ms + server->stop_ms)
        stuck_tell(server);
    if (busy == 0) {
        server->round_ms = UINT64_MAX;
        return;
    }
    server->round_ms = now_ms + server->round_wait_ms;
    server->round_wait_ms *= 2;
    if (server->round_wait_ms > ROUND_MS_MAX)
        server->round_wait_ms =
            server->ending && now_ms >= server->ending_since_ms + server->stop_ms ? ROUND_MS_STUCK
                                                                                  : ROUND_MS_MAX;
}

/* ---- connections */

static void connection_read(struct ph_guard_server *server, int index)
{
    struct ph_guard_message message;
    ssize_t got = recv(server->connections[index].fd, &message, sizeof message, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != (ssize_t)sizeof message)
        connection_close(server, index); /* its end, or somebody who speaks otherwise */
    else
        ph_guard_request(server, index, &message);
}

static void connection_accept(struct ph_guard_server *server)
{
    int fd = accept(server->listen_fd, NULL, NULL);
    if (fd < 0)
        return;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (int i = 0; i < PH_GUARD_CONNECTIONS_MAX; i++)
        if (server->connections[i].fd < 0 && ph_guard_check_peer(fd) == 0) {
            server->connections[i] = (struct ph_guard_connection){.fd = fd};
            return;
        }
    close(fd);
}

/* ---- the loop */

/* Until when the watchdog may be fed, so that it bites no later than the manager waits: the larger of
 * stop_ms and its own time-out after the lease's end. Before that the guard has its time to stop things. */
static bool may_feed(const struct ph_guard_server *server, uint64_t now_ms)
{
    uint64_t timeout_ms = server->watchdog.timeout_ms;
    uint64_t spare_ms = server->stop_ms > timeout_ms ? server->stop_ms - timeout_ms : 0;
    if (atomic_load(&server->page->deadline_ms) > now_ms)
        return true;
    if (server->ending)
        return timeout_ms > 0 && now_ms < server->ending_since_ms + spare_ms;
    return server->table.count == 0; /* nothing runs */
}

static bool not_needed(struct ph_guard_server *server, uint64_t now_ms)
{
    bool idle =
        !server->ending && server->table.count == 0 && atomic_load(&server->page->deadline_ms) == 0;
    bool alone = idle;
    for (int i = 0; i < PH_GUARD_CONNECTIONS_MAX; i++)
        alone = alone && server->connections[i].fd < 0;
    if (!alone)
        server->alone_since_ms = 0;
    else if (server->alone_since_ms == 0)
        server->alone_since_ms = now_ms;
    return idle &&
           (server->leaving || (alone && now_ms >= server->alone_since_ms + PH_GUARD_LINGER_MS));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_wake(const struct ph_guard_server *server, uint64_t now_ms)
{
    uint64_t deadline_ms = atomic_load(&server->page->deadline_ms);
    uint64_t wake_ms = server->round_ms;
    if (server->ending)
        wake_ms = earlier(wake_ms, now_ms + ROUND_MS_STUCK);
    else if (deadline_ms != 0)
        wake_ms = earlier(wake_ms, deadline_ms);
    else if (server->alone_since_ms != 0)
        wake_ms = earlier(wake_ms, server->alone_since_ms + PH_GUARD_LINGER_MS);
    else
        wake_ms = earlier(wake_ms, now_ms + IDLE_MS);
    for (size_t i = 0; i < server->table.count; i++)
        if (server->table.pools[i].asker >= 0)
            wake_ms = earlier(wake_ms, server->table.pools[i].asker_deadline_ms);
    if (server->watchdog.fd >= 0 && may_feed(server, now_ms))
        wake_ms = earlier(wake_ms, server->watchdog.next_ms);
    return wake_ms;
}

static void wait_for_events(struct ph_guard_server *server, uint64_t now_ms)
{
    struct pollfd polls[PH_GUARD_CONNECTIONS_MAX + 3];
    uint64_t wake_ms = next_wake(server, now_ms), times;
    int timeout_ms = -1;
    for (int i = 0; i < PH_GUARD_CONNECTIONS_MAX; i++)
        polls[i] = (struct pollfd){.fd = server->connections[i].fd, .events = POLLIN};
    struct pollfd *rest = &polls[PH_GUARD_CONNECTIONS_MAX];
    rest[0] = (struct pollfd){.fd = server->listen_fd, .events = POLLIN};
    rest[1] = (struct pollfd){.fd = server->timer_fd, .events = POLLIN};
    rest[2] = (struct pollfd){.fd = server->signal_fd, .events = POLLIN};
    if (server->timer_fd >= 0)
        ph_guard_timer_set(server->timer_fd, wake_ms);
    else
        timeout_ms = wake_ms <= now_ms ? 0 : (int)earlier(wake_ms - now_ms, BLIND_MS);
    if (poll(polls, PH_GUARD_CONNECTIONS_MAX + 3, timeout_ms) <= 0)
        return;
    if (rest[1].revents != 0) {
        ssize_t got = read(server->timer_fd, &times, sizeof times);
        (void)got;
        /* The deadline first: nothing a message asks for may come before it. */
        ph_guard_server_check(server, ph_clock_boot_ms());
        rounds(server, ph_clock_boot_ms());
    }
    for (int i = 0; i < PH_GUARD_CONNECTIONS_MAX; i++)
        if (polls[i].revents != 0 && server->connections[i].fd == polls[i].fd)
            connection_read(server, i);
    if (rest[0].revents != 0)
        connection_accept(server);
    if (rest[2].revents != 0) {
        char byte;
        ssize_t got = read(server->signal_fd, &byte, 1);
        (void)got;
        ph_guard_server_leave(server);
    }
}

int ph_guard_server_run(struct ph_guard_server *server)
{
    uint64_t pruned_ms = 0;
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        ph_guard_server_check(server, now_ms);
        rounds(server, now_ms);
        if (may_feed(server, now_ms))
            ph_watchdog_feed(&server->watchdog, now_ms);
        if (not_needed(server, now_ms)) {
            server->done = true;
            return 0;
        }
        if (!server->ending && now_ms >= pruned_ms + 1000) {
            pruned_ms = now_ms;
            for (size_t i = 0; i < server->table.count; i++)
                if (server->table.pools[i].phase == PH_GUARD_CALM)
                    ph_guard_prune(&server->table.pools[i]);
        }
        wait_for_events(server, now_ms);
    }
}

/* ---- making it */

static int listen_at(struct ph_guard_server *server)
{
    struct sockaddr_un address;
    char path[PATH_MAX];
    int directory_fd, rv;
    path_of(server, "guard.sock", path);
    rv = ph_guard_address(server->run_directory, "guard.sock", &address, &directory_fd);
    if (rv != 0)
        return rv;
    unlink(path); /* of a guard that was killed; we hold the lock */
    server->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    if (server->listen_fd < 0 ||
        bind(server->listen_fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server->listen_fd, BACKLOG) != 0)
        rv = -errno;
    umask(mask);
    if (directory_fd >= 0)
        close(directory_fd);
    return rv;
}

int ph_guard_server_init(struct ph_guard_server *server, const char *run_directory,
    uint64_t stop_ms, int signal_fd, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv, loaded;
    *server = (struct ph_guard_server){.stopping = PH_GUARD_STOPPING_INIT,
        .listen_fd = -1,
        .signal_fd = signal_fd,
        .stop_ms = stop_ms,
        .round_ms = UINT64_MAX,
        .watchdog = PH_WATCHDOG_INIT};
    for (int i = 0; i < PH_GUARD_CONNECTIONS_MAX; i++)
        server->connections[i].fd = -1;
    server->timer_fd = ph_guard_timer_open();
    ph_boot_id(server->boot_id, sizeof server->boot_id);
    if (ph_path_join(path, sizeof path, run_directory, "state/table.new") != 0)
        return ph_error_set(error, PH_BAD_INPUT, "--dir", "%s is too long a path", run_directory);
    ph_text_format(server->run_directory, sizeof server->run_directory, "%s", run_directory);

    ph_guard_state_sweep();
    rv = ph_guard_state_make(run_directory);
    if (rv != 0)
        return ph_error_set(error, PH_FAILED, NULL, "%s/state: %s", run_directory, strerror(-rv));
    path_of(server, "state/lease", path);
    rv = ph_lease_page_open(path, &server->page);
    if (rv != 0)
        return ph_error_set(error, PH_FAILED, NULL, "%s: %s", path, strerror(-rv));
    loaded = table_load(server);
    if (loaded == -ESTALE || loaded == -ENOENT) {
        /* First start, or first of this boot: a deadline of another boot would mean anything, and nothing of
         * its lease is left. */
        ph_lease_mark_clean(server->page, ph_lease_end(server->page));
    } else if (loaded != 0) {
        /* What the rest of it said is unknown: the lease ends, what is known is stopped. */
        (void)ph_lease_end(server->page);
        ph_log(PH_LOG_ERROR, "guard_table", "problem=\"%s\"", strerror(-loaded));
    }
    if (loaded != 0 && (rv = ph_guard_server_store(server)) != 0)
        return ph_error_set(error, PH_FAILED, NULL, "%s/state: %s", run_directory, strerror(-rv));
    uint64_t now_ms = ph_clock_boot_ms();
    uint64_t deadline_ms = atomic_load(&server->page->deadline_ms);
    int64_t generation;
    if (ph_lease_end_if_over(server->page, now_ms, &generation) && server->table.count > 0)
        ending_start(server, generation, deadline_ms, now_ms);

    rv = listen_at(server);
    if (rv != 0)
        return ph_error_set(
            error, PH_FAILED, NULL, "%s/guard.sock: %s", run_directory, strerror(-rv));
    return 0;
}

void ph_guard_server_fini(struct ph_guard_server *server)
{
    char path[PATH_MAX];
    for (int i = 0; i < PH_GUARD_CONNECTIONS_MAX; i++)
        if (server->connections[i].fd >= 0)
            close(server->connections[i].fd);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->done) { /* else a successor needs the table */
        path_of(server, "guard.sock", path);
        unlink(path);
        ph_guard_state_remove(server->run_directory);
    }
    /* When it is needed no more; else the machine is to be reset unless a successor feeds it in time. */
    ph_watchdog_close(&server->watchdog, server->done);
    if (server->timer_fd >= 0)
        close(server->timer_fd);
    ph_guard_table_fini(&server->table);
    ph_lease_page_close(&server->page);
}
