/*
 * poolherd-container BUNDLE NAME: becomes `crun run` for the bundle, in a mount namespace of its own; see
 * container.h. Started by the container driver.
 */
#include <stdio.h>
#include <string.h>
#include "agent/work/container.h"

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: poolherd-container BUNDLE NAME\n", stderr);
        return 2;
    }
    int rv = ph_container_exec(argv[1], argv[2]);
    fprintf(stderr, "poolherd-container: %s: %s\n", argv[1], strerror(-rv));
    return 126;
}
