/*
 * What killed guards leave behind: a guard that ends cleanly removes its state, a killed one leaves it for its
 * successor. When the agent's directory was deleted there will be none, and the next guard on this machine
 * takes the leftovers away.
 */
#include "agent/guard/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/guard/cgroup.h"
#include "agent/guard/process.h"
#include "agent/guard/stopping.h"
#include "base/file.h"
#include "base/text.h"

#define MEMORY "/dev/shm"
#define STATES_MAX 10000 /* looked at by one guard */

int ph_guard_state_sign(const char *state_directory, const char *run_directory)
{
    char path[PATH_MAX];
    int rv = ph_path_join(path, sizeof path, state_directory, "owner");
    return rv != 0 ? rv : ph_file_replace(path, run_directory, strlen(run_directory), 0600);
}

static bool table_runs(const char *state)
{
    struct ph_guard_table table = {0, 0, NULL, 0};
    char path[PATH_MAX], boot_id[64], *text;
    size_t size;
    bool runs = false;
    if (ph_path_join(path, sizeof path, state, "table") != 0 ||
        ph_file_read(path, PH_GUARD_TABLE_BYTES_MAX, &text, &size) != 0)
        return true; /* perhaps; then it stays */
    ph_boot_id(boot_id, sizeof boot_id);
    ph_guard_table_decode(&table, boot_id, text, size);
    free(text);
    for (size_t i = 0; i < table.count && !runs; i++)
        runs = ph_guard_runs(&table.pools[i]);
    ph_guard_table_fini(&table);
    return runs;
}

/* Whether its agent's directory is gone, and what it was for. */
static bool orphaned(const char *state, char run_out[PATH_MAX])
{
    char path[PATH_MAX], *text;
    size_t size;
    struct stat status;
    if (lstat(state, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid() ||
        ph_path_join(path, sizeof path, state, "owner") != 0 ||
        ph_file_read(path, PATH_MAX - 1, &text, &size) != 0)
        return false;
    ph_text_format(run_out, PATH_MAX, "%s", text);
    free(text);
    return run_out[0] == '/' && stat(run_out, &status) != 0 && errno == ENOENT;
}

void ph_guard_state_sweep(void)
{
    char state[PATH_MAX], run[PATH_MAX], parent[PATH_MAX];
    struct dirent *entry;
    DIR *directory = opendir(MEMORY);
    if (directory == NULL)
        return;
    for (int count = 0; count < STATES_MAX && (entry = readdir(directory)) != NULL; count++) {
        if (strncmp(entry->d_name, "poolherd-", 9) != 0 ||
            ph_path_join(state, sizeof state, MEMORY, entry->d_name) != 0 ||
            !orphaned(state, run) || table_runs(state))
            continue;
        ph_tree_remove(state);
        char *slash = strrchr(run, '/'); /* RUN is DIR/run */
        if (slash != NULL && slash != run) {
            *slash = '\0';
            if (ph_cgroup_parent_path(run, parent, sizeof parent) == 0)
                ph_cgroup_remove(parent); /* one with a process in it stays */
        }
    }
    closedir(directory);
}
