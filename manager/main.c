/*
 * poolherd-manager: keeps the inventory and decides where pools go.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "manager/serve/serve.h"
#include "poolherd/version.h"

static const char help[] =
    "usage: poolherd-manager --dir DIR [--listen tcp://ADDR:PORT] [--config FILE]\n"
    "                        [--check-config] [--advance-term] [--version] [--help]\n"
    "\n"
    "Keeps the inventory of a Poolherd cluster in DIR, and decides. The first start makes DIR "
    "with\n"
    "the inventory, the manager's key and admin.identity; later starts go on from there.\n"
    "\n"
    "  -d, --dir DIR          where everything is kept (mode 0700)\n"
    "  -l, --listen ENDPOINT  where agents and operators connect; PORT may be * (any free port,\n"
    "                         the same one at later starts). Default tcp://127.0.0.1:7460\n"
    "  -c, --config FILE      configuration (YAML); default: manager.yaml in DIR, if it is there\n"
    "      --check-config     only check the configuration\n"
    "      --advance-term     this inventory is an old copy and no other manager runs: go on from\n"
    "                         it with a term above all that agents have seen\n"
    "      --version, --help\n"
    "\n"
    "SIGTERM ends it; SIGHUP reads the configuration again. Exit status: 0, 1 failed, 2 bad usage\n"
    "or configuration.\n"
    "\n"
    "Example:\n"
    "  poolherd-manager --dir /var/lib/poolherd/manager --listen 'tcp://192.0.2.1:7460'\n"
    "  poolherd --manager /var/lib/poolherd/manager status\n";

enum { OPTION_CHECK = 256, OPTION_ADVANCE, OPTION_VERSION, OPTION_HELP };

static int usage(const char *what)
{
    fprintf(stderr, "poolherd-manager: %s; see poolherd-manager --help\n", what);
    return 2;
}

static int check_config(const struct ph_serve_options *options)
{
    struct ph_error error = {0};

    if (ph_serve_check_config(options, &error) != 0) {
        fprintf(stderr, "poolherd-manager: %s%s%s\n", error.field, error.field[0] ? ": " : "",
            error.message);
        return 2;
    }
    printf("configuration is good\n");
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"listen", required_argument, NULL, 'l'},
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, OPTION_CHECK},
        {"advance-term", no_argument, NULL, OPTION_ADVANCE},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    struct ph_serve_options serve = {0};
    bool check = false;
    int option;

    while ((option = getopt_long(argc, argv, "d:l:c:", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            serve.directory = optarg;
            break;
        case 'l':
            serve.listen = optarg;
            break;
        case 'c':
            serve.config_path = optarg;
            break;
        case OPTION_CHECK:
            check = true;
            break;
        case OPTION_ADVANCE:
            serve.advance_term = true;
            break;
        case OPTION_VERSION:
            printf("poolherd-manager %s\n", PH_VERSION);
            return 0;
        case OPTION_HELP:
            fputs(help, stdout);
            return 0;
        default:
            return usage("bad usage");
        }
    }
    if (optind < argc) {
        return usage("takes no arguments beside its options");
    }
    if (check) {
        return check_config(&serve);
    }
    if (serve.directory == NULL || serve.directory[0] == '\0') {
        return usage("--dir DIR is needed");
    }
    return ph_serve(&serve);
}
