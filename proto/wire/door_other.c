#include "proto/wire/door.h"

uint64_t ph_door_bytes(int descriptor)
{
    (void)descriptor;
    return 0; /* only their time is bounded here */
}
