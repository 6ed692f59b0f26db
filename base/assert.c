#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ph_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr,
        "assertion failed: %s (%s:%d); this is a defect of Poolherd, please report it\n", what,
        file, line);
    fflush(stderr);
    abort();
}
