/*
 * Starting: files first, then QEMU with its processors stopped (-S), then what only the monitor can do (the
 * VNC password, bridges), and `cont` last: a guest never runs half-equipped.
 * Stopping: the guest is asked (its agent, else its power button), then QEMU, then everything is killed.
 */
#include "agent/work/qemu_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/work/command.h"
#include "agent/work/qemu_files.h"
#include "agent/work/qemu_machine.h"
#include "agent/work/qemu_operate.h"
#include "agent/work/qemu_probe.h"
#include "agent/work/qmp.h"
#include "agent/work/run.h"
#include "agent/work/qemu_system.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/program.h"
#include "proto/qemu.h"

#define MONITOR_OPEN_MS 10000 /* QEMU reads its firmware and opens its disks first */
#define COMMAND_MS 5000
#define OPEN_PAUSE_MS 5
#define ASK_AGAIN_MS 5000 /* a guest that is just booting misses its power button */
#define QUIT_MS 3000
#define GUEST_AGENT_MS 2000

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static int probe(struct ph_error *error)
{
    static const char *const programs[][2] = {
        {PH_QEMU_PROGRAM, "qemu-system-x86"}, {"qemu-img", "qemu-utils"}};
    for (size_t i = 0; i < 2; i++)
        if (!ph_program_on_path(programs[i][0])) {
            ph_error_set(error, PH_FAILED, NULL, "%s is not installed (Debian: %s)", programs[i][0],
                programs[i][1]);
            return -ENOTSUP;
        }
    return 0;
}

static int check(const struct ph_vm *vm, struct ph_error *error)
{
    struct ph_qemu qemu = {0};
    struct ph_error why = {0};
    int rv = ph_qemu_of(vm, &qemu, error);
    if (rv == 0 && (rv = ph_qemu_check(&qemu, &why)) != 0) {
        char field[128];
        ph_text_format(field, sizeof field, "qemu.%.100s", why.field);
        ph_error_set(error, PH_BAD_INPUT, field, "%s", why.message);
    }
    ph_record_fini(&ph_record_qemu, &qemu);
    return rv;
}

/* ---- the monitor of a VM that was just started */

static void name_of(const struct ph_work_context *context, const char *what, char out[PATH_MAX])
{
    ph_text_format(out, PATH_MAX, "%s%s", context->vm->name, what);
}

/* QEMU makes its socket when it has read its options; until then, and if it ends, there is none. */
static int monitor_open(const struct ph_work_context *context,
    const struct ph_work_process *process, struct ph_qmp *qmp, struct ph_error *error)
{
    uint64_t deadline_ms = ph_clock_boot_ms() + MONITOR_OPEN_MS;
    char name[PATH_MAX];
    name_of(context, PH_QEMU_TASK_SOCKET, name);
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        uint32_t left_ms = now_ms < deadline_ms ? (uint32_t)(deadline_ms - now_ms) : 0;
        int rv = ph_qmp_open(qmp, context->run_directory, name, left_ms, error);
        bool early = rv == -ENOENT || rv == -ECONNREFUSED;
        if (!early || left_ms == 0)
            return rv;
        if (ph_run_ended(process, OPEN_PAUSE_MS))
            return -ECONNRESET;
    }
}

static int set_password(const struct ph_work_context *context, const struct ph_qemu *qemu,
    struct ph_qmp *qmp, struct ph_error *error)
{
    const char *file = text_of(qemu->vnc.password_file);
    char path[PATH_MAX], *text = NULL;
    if (text_of(qemu->vnc.address)[0] == '\0' || file[0] == '\0')
        return 0;
    int rv = ph_qemu_path(context, file, path);
    if (rv == 0)
        rv = ph_file_read(path, 4096, &text, NULL);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, "qemu.vnc.password_file", "%s: %s", file, strerror(-rv));
        return rv;
    }
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0' || strlen(text) > 8) {
        rv = ph_error_set(error, PH_BAD_INPUT, "qemu.vnc.password_file",
            "the first line of %s must be a password of 1 to 8 characters (VNC takes no more)",
            file);
    } else {
        rv = ph_qmp_execute(qmp, "set_password",
            json_pack("{s:s,s:s}", "protocol", "vnc", "password", text), COMMAND_MS, NULL, error);
    }
    sodium_memzero(text, strlen(text));
    free(text);
    return rv;
}

static int join_bridges(
    const struct ph_work_context *context, const struct ph_qemu *qemu, struct ph_error *error)
{
    for (size_t i = 0; i < qemu->nics.count; i++) {
        const struct ph_qemu_nic *nic = &qemu->nics.items[i];
        char tap[PH_QEMU_TAP_BYTES], field[64];
        if (nic->kind != PH_NIC_TAP)
            continue;
        ph_qemu_tap(context, nic, tap);
        int rv = ph_work_bridge_join(nic->bridge, tap);
        if (rv == 0)
            continue;
        ph_text_format(field, sizeof field, "qemu.nics[%zu].bridge", i);
        ph_error_set(error, PH_FAILED, field, "nic %s cannot join the bridge %s: %s", nic->name,
            nic->bridge, rv == -ENODEV ? "there is no such bridge on this node" : strerror(-rv));
        return rv;
    }
    return 0;
}

static int equip(const struct ph_work_context *context, const struct ph_qemu *qemu,
    const struct ph_work_process *process, struct ph_error *error)
{
    struct ph_qmp qmp;
    int rv = monitor_open(context, process, &qmp, error);
    if (rv != 0)
        return rv;
    rv = set_password(context, qemu, &qmp, error);
    if (rv == 0)
        rv = join_bridges(context, qemu, error);
    if (rv == 0)
        rv = ph_qmp_execute(&qmp, "cont", NULL, COMMAND_MS, NULL, error);
    ph_qmp_close(&qmp);
    return rv;
}

/* ---- start */

/* The line of QEMU's that says why it ended: its last one with its name, since hints may follow. */
static const char *telling_line(char *text)
{
    const char *found = NULL, *last = text;
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        last = *line != '\0' ? line : last;
        if (strncmp(line, PH_QEMU_PROGRAM ": ", strlen(PH_QEMU_PROGRAM ": ")) == 0 &&
            strstr(line, ": warning: ") == NULL)
            found = line + strlen(PH_QEMU_PROGRAM ": ");
        line = end == NULL ? NULL : end + 1;
    }
    return found != NULL ? found : last;
}

/* What the log has since `from`. False: nothing. */
static bool last_words(const char *path, off_t from, char *out, size_t size)
{
    char bytes[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    off_t begin = end - (off_t)sizeof bytes + 1 > from ? end - (off_t)sizeof bytes + 1 : from;
    ssize_t got = end > begin ? pread(fd, bytes, sizeof bytes - 1, begin) : -1;
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return false;
    bytes[got] = '\0';
    ph_text_printable(out, size, telling_line(bytes));
    return out[0] != '\0';
}

static off_t log_end(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : 0;
}

/* A machine that could not be equipped is ended at once. When QEMU ended by itself its own words say most. */
static void give_up(const struct ph_work_context *context, struct ph_work_process *process, int rv,
    off_t log_from, struct ph_error *error)
{
    struct ph_error other = {0};
    char said[400];
    bool alone = rv == -ECONNRESET;
    if (alone)
        ph_run_ended(process, COMMAND_MS);
    ph_run_stop(context, process, NULL, &other);
    (void)ph_work_exit_status(process);
    if (alone && last_words(context->log_path, log_from, said, sizeof said))
        ph_error_set(error, PH_FAILED, NULL, "QEMU ended at once: %s", said);
    else if (alone)
        ph_error_set(error, PH_FAILED, NULL, "QEMU ended at once; see %s", context->log_path);
    if (process->pid_fd >= 0)
        close(process->pid_fd);
    *process = (struct ph_work_process){.pid_fd = -1};
}

static int choose_accelerator(const struct ph_work_context *context, const struct ph_qemu *qemu,
    bool *kvm_out, struct ph_error *error)
{
    char why[200] = "", text[256], name[PATH_MAX], path[PATH_MAX];
    *kvm_out = qemu->accelerator != PH_ACCELERATOR_TCG &&
               ph_qemu_kvm_works(context->run_directory, why, sizeof why);
    if (!*kvm_out && qemu->accelerator == PH_ACCELERATOR_KVM) {
        ph_error_set(error, PH_STATE_FORBIDS, "qemu.accelerator",
            "KVM does not work on this node: %s; accelerator: auto would run it emulated", why);
        return -ENOTSUP;
    }
    ph_text_format(text, sizeof text, "%s%s%s%s", *kvm_out ? "kvm" : "tcg",
        why[0] != '\0' ? " (kvm: " : "", why, why[0] != '\0' ? ")" : "");
    name_of(context, PH_QEMU_ACCELERATOR_FILE, name);
    int rv = ph_path_join(path, sizeof path, context->run_directory, name);
    return rv != 0 ? rv : ph_file_replace(path, text, strlen(text), 0600);
}

/* Sockets of an earlier run: QEMU replaces them, but until it does nobody is to wait at a dead one. */
static void remove_sockets(const struct ph_work_context *context)
{
    static const char *const sockets[] = {
        PH_QEMU_TASK_SOCKET, PH_QEMU_WATCH_SOCKET, PH_QEMU_SERIAL_SOCKET, PH_QEMU_AGENT_SOCKET};
    char name[PATH_MAX], path[PATH_MAX];
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        name_of(context, sockets[i], name);
        if (ph_path_join(path, sizeof path, context->run_directory, name) == 0)
            (void)unlink(path);
    }
}

static int prepare(const struct ph_work_context *context, const struct ph_qemu *qemu,
    struct ph_command *command_out, struct ph_error *error)
{
    char seed[PATH_MAX] = "", code[PATH_MAX] = "", vars[PATH_MAX] = "";
    struct ph_qemu_machine machine = {.context = context,
        .qemu = qemu,
        .seed = seed,
        .firmware_code = code,
        .firmware_vars = vars};
    struct ph_texts words = {0, NULL};
    int rv = ph_directory_make(context->run_directory);
    if (rv == 0)
        rv = choose_accelerator(context, qemu, &machine.kvm, error);
    if (rv == 0)
        rv = ph_qemu_disks_make(context, qemu, error);
    if (rv == 0)
        rv = ph_qemu_firmware(context, qemu, code, vars, error);
    if (rv == 0)
        rv = ph_qemu_seed(context, qemu, seed, error);
    if (rv == 0)
        rv = ph_qemu_command(&machine, &words);
    if (rv == 0)
        rv = ph_command_make_plain(context, &words, command_out);
    ph_texts_fini(&words);
    if (rv != 0 && error->message[0] == '\0')
        ph_error_set(
            error, PH_FAILED, NULL, "%s cannot be prepared: %s", context->vm->name, strerror(-rv));
    return rv;
}

static int start(const struct ph_work_context *context, struct ph_work_process *process_out,
    struct ph_error *error)
{
    struct ph_qemu qemu = {0};
    struct ph_command command = {NULL, NULL, NULL};
    struct ph_work_process process = {.pid_fd = -1};
    int rv = check(context->vm, error);
    if (rv == 0)
        rv = ph_qemu_of(context->vm, &qemu, error);
    if (rv == 0)
        rv = prepare(context, &qemu, &command, error);
    if (rv == 0) {
        off_t log_from = log_end(context->log_path);
        remove_sockets(context);
        rv = ph_run_start(context, &command, context->run_directory, &process, error);
        if (rv == 0 && (rv = equip(context, &qemu, &process, error)) != 0)
            give_up(context, &process, rv, log_from, error);
    }
    if (rv == 0)
        *process_out = process;
    ph_command_fini(&command);
    ph_record_fini(&ph_record_qemu, &qemu);
    return rv;
}

/* ---- stop */

/* Whether the guest's own agent took the wish. It does not answer when it obeys. */
static bool ask_guest(const struct ph_work_context *context)
{
    struct ph_qmp agent;
    struct ph_error error = {0};
    char name[PATH_MAX];
    name_of(context, PH_QEMU_AGENT_SOCKET, name);
    if (ph_qmp_open_guest(&agent, context->run_directory, name, GUEST_AGENT_MS, &error) != 0)
        return false;
    json_t *sync = NULL;
    bool there = ph_qmp_execute(&agent, "guest-sync", json_pack("{s:i}", "id", 4711),
                     GUEST_AGENT_MS, &sync, &error) == 0;
    json_decref(sync);
    if (there)
        (void)ph_qmp_execute(&agent, "guest-shutdown", NULL, GUEST_AGENT_MS / 4, NULL, &error);
    ph_qmp_close(&agent);
    return there;
}

static bool guest_agent_present(struct ph_qmp *qmp)
{
    struct ph_error error = {0};
    json_t *devices = NULL, *device;
    bool open = false;
    size_t i;
    if (ph_qmp_execute(qmp, "query-chardev", NULL, COMMAND_MS, &devices, &error) != 0)
        return false;
    json_array_foreach(devices, i, device)
    {
        const char *label = json_string_value(json_object_get(device, "label"));
        if (label != NULL && strcmp(label, "agent0") == 0)
            open = json_is_true(json_object_get(device, "frontend-open"));
    }
    json_decref(devices);
    return open;
}

/* Presses the power button and waits, again and again: a paused guest is let go on first, or it would never
 * hear of it. False: QEMU is not to be talked to. */
static bool wait_politely(const struct ph_work_context *context,
    const struct ph_work_process *process, struct ph_qmp *qmp, uint64_t until_ms)
{
    struct ph_error error = {0};
    bool asked = guest_agent_present(qmp) && ask_guest(context);
    (void)ph_qmp_execute(qmp, "cont", NULL, COMMAND_MS, NULL, &error);
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        if (now_ms >= until_ms)
            return true;
        int rv =
            asked ? 0 : ph_qmp_execute(qmp, "system_powerdown", NULL, COMMAND_MS, NULL, &error);
        uint64_t left_ms = until_ms - now_ms;
        if (ph_run_ended(process, (int)(left_ms < ASK_AGAIN_MS ? left_ms : ASK_AGAIN_MS)))
            return true;
        if (rv != 0 && rv != -EIO)
            return false;
        asked = false;
    }
}

static void stop_politely(
    const struct ph_work_context *context, const struct ph_work_process *process)
{
    uint64_t until_ms = ph_clock_boot_ms() + (uint64_t)ph_stop_timeout_ms(context->vm);
    struct ph_error error = {0};
    struct ph_qmp qmp;
    char name[PATH_MAX];
    name_of(context, PH_QEMU_TASK_SOCKET, name);
    if (ph_qmp_open(&qmp, context->run_directory, name, COMMAND_MS, &error) != 0)
        return;
    /* QEMU writes out what its disks still hold when it is told to quit, and not when it is killed. */
    if (wait_politely(context, process, &qmp, until_ms) && !ph_run_ended(process, 0) &&
        ph_qmp_execute(&qmp, "quit", NULL, QUIT_MS, NULL, &error) == 0)
        ph_run_ended(process, QUIT_MS);
    ph_qmp_close(&qmp);
}

static int stop(
    const struct ph_work_context *context, struct ph_work_process *process, struct ph_error *error)
{
    return ph_run_stop(context, process, stop_politely, error);
}

const struct ph_work_driver ph_work_driver_qemu = {.name = "qemu",
    .watched = true,
    .probe = probe,
    .check = check,
    .start = start,
    .stop = stop,
    .adopt = ph_run_adopt,
    .operate = ph_qemu_operate,
    .look = ph_qemu_look};
