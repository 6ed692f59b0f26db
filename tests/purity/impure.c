/* Never compiled: the check of tests/purity.cmake must find this file. */
#include <stdint.h>
#  include  <time.h>
