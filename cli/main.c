/* poolherd: the command line. See cli/command.h. */
#include "cli/command.h"

int main(int argc, char **argv)
{
    return ph_cli_main(argc, argv);
}
