/* poolherd-agent: the options; everything else is agent/serve. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/serve/run.h"
#include "poolherd/limits.h"
#include "poolherd/version.h"

static const char usage[] =
    "Usage: poolherd-agent --dir DIR [options]\n"
    "\n"
    "Runs the pools that the manager gives to this node, and stops what it cannot prove to be its "
    "own.\n"
    "\n"
    "  -d, --dir DIR        where identity, database, pools and logs of this node live\n"
    "  -j, --join TOKEN     present this invitation first (from `poolherd node invite NAME`);\n"
    "                       - reads it from standard input, so that it stands in no process list\n"
    "  -n, --name NAME      refuse to start as any other node\n"
    "  -l, --listen ADDR    tcp://ADDR:PORT of the data channel between agents; PORT may be *\n"
    "  -c, --config FILE    YAML file; default DIR/agent.yaml when it is there\n"
    "      --check-config   say whether the configuration is good, and end\n"
    "      --leave          have the agent that runs on DIR drained, wait until it has ended\n"
    "  -V, --version        print the version\n"
    "  -h, --help           print this\n"
    "\n"
    "SIGTERM ends the agent and leaves its workloads running; start it again within the lease and "
    "it\n"
    "adopts them. Example:\n"
    "  poolherd node invite n1 | poolherd-agent --dir /var/lib/poolherd/agent --join -\n"
    "\n"
    "Exit status: 0 ended as asked, 1 failed, 2 bad usage or configuration, 3 manager not "
    "reached,\n"
    "4 not allowed.\n";

enum { OPTION_CHECK_CONFIG = 256, OPTION_LEAVE };

static int complain(const struct ph_error *error)
{
    fprintf(stderr, "poolherd-agent: %s%s%s\n", error->field, error->field[0] ? ": " : "",
        error->message);
    return error->code == PH_OK ? PH_FAILED : (int)error->code;
}

/* Reads the one word of an invitation from standard input. */
static const char *read_token(char *out, size_t size)
{
    if (!fgets(out, (int)size, stdin))
        return "";
    out[strcspn(out, " \t\r\n")] = 0;
    return out;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
        {"join", required_argument, NULL, 'j'}, {"name", required_argument, NULL, 'n'},
        {"listen", required_argument, NULL, 'l'}, {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
        {"leave", no_argument, NULL, OPTION_LEAVE}, {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct ph_agent_options chosen = {0};
    struct ph_error error = {0};
    char token[PH_TOKEN_BYTES_MAX + 2];
    bool leave = false;
    int option;
    while ((option = getopt_long(argc, argv, "d:j:n:l:c:Vh", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            chosen.directory = optarg;
            break;
        case 'j':
            chosen.token = optarg;
            break;
        case 'n':
            chosen.name = optarg;
            break;
        case 'l':
            chosen.listen = optarg;
            break;
        case 'c':
            chosen.config = optarg;
            break;
        case OPTION_CHECK_CONFIG:
            chosen.check_config = true;
            break;
        case OPTION_LEAVE:
            leave = true;
            break;
        case 'V':
            puts("poolherd-agent " PH_VERSION);
            return PH_OK;
        case 'h':
            fputs(usage, stdout);
            return PH_OK;
        default:
            fputs("Try poolherd-agent --help.\n", stderr);
            return PH_BAD_INPUT;
        }
    }
    if (optind < argc || !chosen.directory || !chosen.directory[0]) {
        fprintf(stderr, "poolherd-agent: %s\n",
            optind < argc ? "an argument is left over" : "--dir DIR is missing");
        return PH_BAD_INPUT;
    }
    if (chosen.token && strcmp(chosen.token, "-") == 0)
        chosen.token = read_token(token, sizeof(token));
    int rv = leave ? ph_agent_leave(chosen.directory, &error) : ph_agent_run(&chosen, &error);
    return rv != 0 ? complain(&error) : PH_OK;
}
