/* Needs Linux without saying so in its name; tests/portable.cmake must notice it. Never built. */
#include <sys/epoll.h>
