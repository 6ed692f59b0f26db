/* A declared command of any words (divided by NUL), with placeholders: refused, or made into what execve()
 * takes, with our own names in the environment. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "agent/work/command.h"
#include "base/assert.h"
#include "base/text.h"

static void make(const struct ph_vm *vm)
{
    struct ph_pool pool = {.name = "web"};
    struct ph_work_context context = {
        .vm = vm, .pool = &pool, .node = "n1", .epoch = 7, .pool_path = "/somewhere/{vm}"};
    struct ph_command command = {NULL, NULL, NULL};

    if (ph_command_make(&context, &command) != 0)
        return;
    size_t words = 0;
    while (command.argv[words] != NULL)
        words++;
    ph_assert(words == vm->command.count && command.programs != NULL);
    ph_assert(strncmp(command.environment[0], "POOLHERD_", 9) == 0);
    ph_command_fini(&command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_vm vm = {.name = "httpd", .pool = "web"};
    struct ph_error error = {.code = PH_OK};
    char *text = malloc(size + 1);

    ph_assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t at = 0; at < size && vm.command.count < 64; at += strlen(text + at) + 1)
        ph_assert(ph_texts_add(&vm.command, text + at) == 0);
    if (ph_command_check(&vm, &error) != 0)
        ph_assert(error.message[0] != '\0' && ph_utf8_valid(error.message, strlen(error.message)));
    make(&vm); /* a manager may send what no declaration may say */
    (void)ph_command_signal(text);
    ph_texts_fini(&vm.command);
    free(text);
    return 0;
}
