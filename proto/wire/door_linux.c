#include "proto/wire/door.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

uint64_t ph_door_bytes(int descriptor)
{
    struct tcp_info info;
    socklen_t size = sizeof info;

    memset(&info, 0, sizeof info); /* older kernels fill less of it */
    return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0
               ? info.tcpi_bytes_received
               : 0;
}
