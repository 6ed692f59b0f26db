/*
 * What the manager is told of this node, and what of it is found out while the agent runs: drivers, whose
 * tools may hang when they are asked, and what the guard has.
 */
#include "agent/serve/shell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

/* Tools answer within some 20 ms. One that does not must not cost a lease: the first hello goes without. */
#define PROBE_WAIT_MS 100

struct ph_probe {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
    struct ph_mailbox *mailbox;
    char directory[PATH_MAX];
    struct ph_texts drivers, missing;
};

static int driver_note(struct ph_probe *probe, const char *name, bool works, const char *why)
{
    char text[PH_TEXT_BYTES_MAX];
    if (works)
        return ph_texts_add(&probe->drivers, name);
    ph_log(PH_LOG_INFO, "driver_unavailable", "driver=%s reason=%s", name, why);
    ph_text_format(text, sizeof text, "%s: %s", name, why);
    return ph_texts_add(&probe->missing, text);
}

static int drivers_find(struct ph_probe *probe)
{
    int rv = 0;
    for (size_t i = 0; rv == 0 && ph_pool_drivers[i]; i++) {
        struct ph_error why = {.code = PH_OK};
        bool works = ph_pool_drivers[i]->probe(probe->directory, &why) == 0;
        rv = driver_note(probe, ph_pool_drivers[i]->name, works, why.message);
    }
    for (size_t i = 0; rv == 0 && ph_work_drivers[i]; i++) {
        struct ph_error why = {.code = PH_OK};
        const char *name = ph_work_drivers[i]->name;
        bool works = ph_work_drivers[i]->probe(&why) == 0;
        if (ph_pool_driver_find(name) == NULL) /* ocf is both, and was noted */
            rv = driver_note(probe, name, works, why.message);
    }
    return rv;
}

static void *probe_run(void *argument)
{
    struct ph_probe *probe = argument;
    ph_assert(drivers_find(probe) == 0);
    pthread_mutex_lock(&probe->lock);
    probe->done = true;
    pthread_cond_signal(&probe->ended);
    ph_mailbox_put(probe->mailbox, ph_note_new(PH_NOTE_PROBED));
    pthread_mutex_unlock(&probe->lock);
    return NULL;
}

int ph_facts_probe(struct ph_shell *shell)
{
    pthread_condattr_t attributes;
    struct ph_probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL)
        return -ENOMEM;
    pthread_mutex_init(&probe->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&probe->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    probe->mailbox = &shell->mailbox;
    ph_text_format(probe->directory, sizeof probe->directory, "%s", shell->directory);
    int rv = pthread_create(&shell->probe_thread, NULL, probe_run, probe);
    if (rv != 0) {
        free(probe);
        return -rv;
    }
    shell->probe = probe;
    return 0;
}

static bool probe_done(struct ph_probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    bool done = probe->done;
    pthread_mutex_unlock(&probe->lock);
    return done;
}

/* Takes what the probe found, when it is done. */
static bool probe_take(struct ph_shell *shell)
{
    struct ph_probe *probe = shell->probe;
    if (probe == NULL || !probe_done(probe))
        return false;
    pthread_join(shell->probe_thread, NULL);
    ph_texts_fini(&shell->facts.drivers);
    shell->facts.drivers = probe->drivers;
    ph_texts_fini(&shell->facts.drivers_missing);
    shell->facts.drivers_missing = probe->missing;
    pthread_cond_destroy(&probe->ended);
    pthread_mutex_destroy(&probe->lock);
    free(probe);
    shell->probe = NULL;
    return true;
}

static void probe_wait(struct ph_shell *shell)
{
    struct ph_probe *probe = shell->probe;
    struct timespec until;
    if (probe == NULL)
        return;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PROBE_WAIT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&probe->lock);
    while (!probe->done && pthread_cond_timedwait(&probe->ended, &probe->lock, &until) == 0)
        ;
    bool done = probe->done;
    pthread_mutex_unlock(&probe->lock);
    if (!done)
        ph_log(PH_LOG_WARNING, "drivers_unknown",
            "after_ms=%d text=\"a tool does not answer; drivers are reported when it does\"",
            PROBE_WAIT_MS);
    else
        probe_take(shell);
}

static enum ph_kill_means kill_means(const struct ph_shell *shell)
{
    if (shell->spaces)
        return PH_KILLS_NAMESPACE;
    return shell->cgroup_parent[0] != '\0' ? PH_KILLS_CGROUP : PH_KILLS_GROUPS;
}

/* True when something changed. */
static bool guard_facts(struct ph_shell *shell)
{
    struct ph_hello *facts = &shell->facts;
    int64_t watchdog_ms = (int64_t)ph_guard_watchdog_ms(shell->guard);
    enum ph_kill_means means = kill_means(shell);
    const char *note = ph_guard_problem(shell->guard);
    if (facts->watchdog_ms == watchdog_ms && facts->kills_by == means &&
        strcmp(facts->guard_note != NULL ? facts->guard_note : "", note) == 0)
        return false;
    facts->watchdog_ms = watchdog_ms;
    facts->kills_by = means;
    ph_assert(ph_set_text(&facts->guard_note, note) == 0);
    ph_log(note[0] != '\0' ? PH_LOG_ERROR : PH_LOG_NOTICE, "guard_has",
        "node=%s watchdog_ms=%lld kills_by=%s problem=\"%s\"", shell->identity.name,
        (long long)watchdog_ms, ph_enum_word(&ph_enum_kill_means, (int)means), note);
    return true;
}

int ph_facts_make(struct ph_shell *shell)
{
    int rv = ph_settings_hello(
        &shell->config, shell->directory, ph_stream_server_endpoint(shell->streams), &shell->facts);
    if (rv != 0)
        return rv;
    probe_wait(shell);
    guard_facts(shell);
    return 0;
}

void ph_facts_look(struct ph_shell *shell)
{
    bool changed = probe_take(shell);
    if (guard_facts(shell))
        changed = true;
    if (!changed)
        return;
    struct ph_agent_event event = {.kind = PH_AE_FACTS, .facts = &shell->facts};
    ph_shell_step(shell, &event);
}

void ph_facts_tell_guard(struct ph_shell *shell, bool ask)
{
    uint64_t stop_ms = ph_agent_stop_ms(shell->core);
    if (stop_ms == shell->guard_stop_ms && !ask)
        return;
    shell->guard_stop_ms = stop_ms;
    ph_guard_tell(shell->guard, stop_ms);
}

void ph_facts_fini(struct ph_shell *shell)
{
    ph_record_fini(&ph_record_hello, &shell->facts);
}
