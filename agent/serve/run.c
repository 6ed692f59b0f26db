#include "agent/serve/run.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/serve/shell.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"

#define LEAVE_LOOK_MS 100

static enum ph_log_level log_level(const char *word)
{
    static const char *const words[] = {"error", "warning", "notice", "info", "debug"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i], word) == 0)
            return (enum ph_log_level)i;
    return PH_LOG_NOTICE;
}

static int take_lock(const char *directory, int *fd_out, pid_t *holder_out, struct ph_error *error)
{
    char path[PATH_MAX];
    *holder_out = 0;
    int rv = ph_directory_make(directory);
    if (rv == 0)
        rv = ph_path_join(path, sizeof(path), directory, "lock");
    if (rv == 0)
        rv = ph_lock_take(path, fd_out, holder_out);
    if (rv == -EWOULDBLOCK) {
        ph_error_set(error, PH_STATE_FORBIDS, "--dir",
            "another agent (process %lld) runs on %s; give each agent its own directory",
            (long long)*holder_out, directory);
        return rv;
    }
    return rv == 0 ? 0
                   : ph_error_set(error, PH_FAILED, "--dir", "%s: %s", directory, strerror(-rv));
}

int ph_agent_run(const struct ph_agent_options *options, struct ph_error *error)
{
    struct ph_shell *shell = calloc(1, sizeof(*shell));
    int lock_fd = -1;
    pid_t holder;
    if (!shell)
        return ph_error_set(error, PH_FAILED, NULL, "out of memory");
    shell->options = options;
    int rv = ph_settings_read(options, &shell->config, error);
    if (rv == 0 && options->check_config) {
        puts("the configuration is good");
        ph_record_fini(&ph_record_agent_config, &shell->config);
        free(shell);
        return 0;
    }
    ph_log_init("poolherd-agent", log_level(shell->config.log_level));
    if (rv == 0)
        rv = take_lock(options->directory, &lock_fd, &holder, error);
    if (rv == 0)
        rv = ph_mailbox_init(&shell->mailbox);
    if (rv == 0)
        rv = ph_shell_start(shell, error);
    if (rv == 0) {
        printf("ready node=%s data=%s manager=%s\n", shell->identity.name,
            ph_stream_server_endpoint(shell->streams), shell->identity.manager_endpoint);
        fflush(stdout);
        ph_notify("READY=1");
        rv = ph_shell_loop(shell, error);
        ph_notify("STOPPING=1");
    }
    /* A process that ends frees everything at once; only an orderly end is worth the work. */
    bool busy = shell->running_count + shell->fence_count > 0 || shell->probe != NULL ||
                shell->diverged_removal;
    ph_shell_stop(shell);
    if (lock_fd >= 0)
        close(lock_fd);
    if (!busy)
        free(shell);
    return rv;
}

int ph_agent_leave(const char *directory, struct ph_error *error)
{
    int lock_fd = -1;
    pid_t holder = 0;
    int rv = take_lock(directory, &lock_fd, &holder, error);
    if (rv == 0) {
        close(lock_fd);
        return ph_error_set(error, PH_NOT_FOUND, "--dir", "no agent runs on %s", directory);
    }
    if (rv != -EWOULDBLOCK || holder <= 0)
        return rv;
    if (kill(holder, SIGUSR1) != 0)
        return ph_error_set(
            error, PH_NOT_ALLOWED, NULL, "process %lld: %s", (long long)holder, strerror(errno));
    printf(
        "waiting until node's pools have moved away; `poolherd job list` shows on what it waits\n");
    fflush(stdout);
    while ((rv = take_lock(directory, &lock_fd, &holder, error)) == -EWOULDBLOCK)
        poll(NULL, 0, LEAVE_LOOK_MS); /* until the agent lets go of its lock, which has no event */
    if (rv == 0)
        close(lock_fd);
    *error = (struct ph_error){0};
    return rv;
}
