#include "base/program_link.h"

const char ph_program_link[] = "/proc/self/exe";
