/*
 * Whether KVM runs guests here. The device may exist and be useless: inside some clouds it opens, it even runs a
 * few instructions of real mode, and then a guest hangs or QEMU aborts. So a guest is started that does what
 * a kernel does first, and says so through a port.
 */
#include "agent/work/qemu_probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/work/qemu_machine.h"
#include "base/child.h"
#include "base/file.h"

#define PROBE_TIMEOUT_MS 3000
#define ROM_BYTES 65536
#define ROM_RESET 0xfff0 /* where a processor begins */
#define SAID_IT_RAN 33   /* isa-debug-exit: (0x10 << 1) | 1 */

/*
 * From reset to long mode with paging, one SSE3 instruction, and out:
 *
 *       cli; lgdt; cr0 = PE; far jump to 32 bits
 *       page tables at 0x1000: one page of 2 MiB; cr4 = PAE | OSFXSR; cr3; EFER.LME; cr0 |= PG
 *       far jump to 64 bits; movd %ebx, %xmm0; addsubps %xmm0, %xmm0
 *       outb 0x10 to 0xf4; hlt; the table of segments
 */
static const unsigned char guest[] = {
    0xfa,
    0x2e,
    0x66,
    0x0f,
    0x01,
    0x16,
    0xb0,
    0x00,
    0x66,
    0xb8,
    0x11,
    0x00,
    0x00,
    0x00,
    0x0f,
    0x22,
    0xc0,
    0x66,
    0xea,
    0x19,
    0x00,
    0x0f,
    0x00,
    0x08,
    0x00,
    0x66,
    0xb8,
    0x10,
    0x00,
    0x8e,
    0xd8,
    0x8e,
    0xd0,
    0xc7,
    0x05,
    0x00,
    0x10,
    0x00,
    0x00,
    0x03,
    0x20,
    0x00,
    0x00,
    0xc7,
    0x05,
    0x00,
    0x20,
    0x00,
    0x00,
    0x03,
    0x30,
    0x00,
    0x00,
    0xc7,
    0x05,
    0x00,
    0x30,
    0x00,
    0x00,
    0x83,
    0x00,
    0x00,
    0x00,
    0x31,
    0xc0,
    0xa3,
    0x04,
    0x10,
    0x00,
    0x00,
    0xa3,
    0x04,
    0x20,
    0x00,
    0x00,
    0xa3,
    0x04,
    0x30,
    0x00,
    0x00,
    0xb8,
    0x20,
    0x02,
    0x00,
    0x00,
    0x0f,
    0x22,
    0xe0,
    0xb8,
    0x00,
    0x10,
    0x00,
    0x00,
    0x0f,
    0x22,
    0xd8,
    0xb9,
    0x80,
    0x00,
    0x00,
    0xc0,
    0x0f,
    0x32,
    0x0d,
    0x00,
    0x01,
    0x00,
    0x00,
    0x0f,
    0x30,
    0xb8,
    0x11,
    0x00,
    0x00,
    0x80,
    0x0f,
    0x22,
    0xc0,
    0xea,
    0x7d,
    0x00,
    0x0f,
    0x00,
    0x18,
    0x00,
    0xbb,
    0x45,
    0x23,
    0x01,
    0x00,
    0x66,
    0x0f,
    0x6e,
    0xc3,
    0xf2,
    0x0f,
    0xd0,
    0xc0,
    0xb0,
    0x10,
    0xe6,
    0xf4,
    0xf4,
    0x90,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0xff,
    0xff,
    0x00,
    0x00,
    0x00,
    0x9a,
    0xcf,
    0x00,
    0xff,
    0xff,
    0x00,
    0x00,
    0x00,
    0x92,
    0xcf,
    0x00,
    0xff,
    0xff,
    0x00,
    0x00,
    0x00,
    0x9a,
    0xaf,
    0x00,
    0x1f,
    0x00,
    0x90,
    0x00,
    0x0f,
    0x00,
};
static const unsigned char jump_to_guest[] = {0xe9, 0x0d, 0x00}; /* from ROM_RESET round to 0 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool known, works;
static char why[160];

static int make_rom(const char *directory, char path[PATH_MAX])
{
    unsigned char *rom = malloc(ROM_BYTES);
    if (rom == NULL)
        return -ENOMEM;
    memset(rom, 0xf4, ROM_BYTES); /* hlt */
    memcpy(rom, guest, sizeof guest);
    memcpy(rom + ROM_RESET, jump_to_guest, sizeof jump_to_guest);
    int rv = ph_path_join(path, PATH_MAX, directory, "kvm-probe.rom");
    if (rv == 0)
        rv = ph_file_replace(path, rom, ROM_BYTES, 0600);
    free(rom);
    return rv;
}

static void last_line(const char *output, char *out, size_t size)
{
    size_t end = strlen(output), begin;
    while (end > 0 && (output[end - 1] == '\n' || output[end - 1] == '\r'))
        end--;
    for (begin = end; begin > 0 && output[begin - 1] != '\n';)
        begin--;
    char line[256];
    ph_text_format(line, sizeof line, "%.*s", (int)(end - begin), output + begin);
    ph_text_printable(out, size, line);
}

static bool try_guest(const char *directory)
{
    char rom[PATH_MAX], said[100];
    if (access("/dev/kvm", R_OK | W_OK) != 0) {
        ph_text_format(why, sizeof why, "/dev/kvm: %s", strerror(errno));
        return false;
    }
    int rv = make_rom(directory, rom);
    if (rv == 0) {
        const char *const argv[] = {PH_QEMU_PROGRAM, "-nodefaults", "-no-user-config", "-display",
            "none", "-machine", PH_QEMU_MACHINE, "-accel", "kvm", "-cpu", "host", "-m", "16",
            "-no-reboot", "-bios", rom, "-device", "isa-debug-exit,iobase=0xf4,iosize=4", NULL};
        struct ph_child_result result;
        rv = ph_child_run(argv, NULL, NULL, PROBE_TIMEOUT_MS, &result);
        unlink(rom);
        if (rv == 0 && result.exit_status == SAID_IT_RAN)
            return true;
        last_line(result.output, said, sizeof said);
        if (rv == 0 && result.timed_out)
            ph_text_format(why, sizeof why, "a guest hangs with it");
        else if (rv == 0)
            ph_text_format(why, sizeof why, "a guest does not run with it: %s",
                said[0] != '\0' ? said : "it reset itself");
    }
    if (rv != 0)
        ph_text_format(why, sizeof why, "it could not be tried: %s", strerror(-rv));
    return false;
}

bool ph_qemu_kvm_works(const char *directory, char *why_out, size_t size)
{
    pthread_mutex_lock(&lock);
    if (!known) {
        works = try_guest(directory);
        known = true;
    }
    ph_text_format(why_out, size, "%s", works ? "" : why);
    bool answer = works;
    pthread_mutex_unlock(&lock);
    return answer;
}
