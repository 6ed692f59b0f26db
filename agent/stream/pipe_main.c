/*
 * poolherd-pipe: puts a program that wants to start its own remote shell (rsync) on a stream that is
 * open already.
 *
 *     poolherd-pipe run PROGRAM ARGUMENT...
 *         Its standard input is the stream (a socket). Moves it out of the way to STREAM_FD and
 *         becomes PROGRAM, with nothing on standard input and its output on standard error.
 *     poolherd-pipe pass ...
 *         What PROGRAM then starts in place of a remote shell (rsync -e): passes bytes between its
 *         own standard input and output and STREAM_FD until the other side has ended. The remote
 *         command in the arguments is not looked at: the other node decides what it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_FD 9
#define BUFFER_BYTES (128 * 1024)

struct way {
    int from, to;
    bool to_stream; /* its end is told with shutdown(), not close() */
    bool from_ended, to_ended;
    size_t filled, taken;
    char bytes[BUFFER_BYTES];
};

static struct way ways[2];

static void end_writing(struct way *way)
{
    if (way->to_ended)
        return;
    way->to_ended = true;
    if (way->to_stream)
        shutdown(way->to, SHUT_WR);
    else
        close(way->to);
}

/* Moves what can be moved now. */
static void move(struct way *way)
{
    if (!way->from_ended && way->filled == way->taken) {
        ssize_t got = read(way->from, way->bytes, sizeof way->bytes);
        if (got > 0) {
            way->filled = (size_t)got;
            way->taken = 0;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            way->from_ended = true;
        }
    }
    while (!way->to_ended && way->taken < way->filled) {
        ssize_t put = write(way->to, way->bytes + way->taken, way->filled - way->taken);
        if (put > 0) {
            way->taken += (size_t)put;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            way->from_ended = true; /* nobody takes it: nothing more is to be read either */
            way->taken = way->filled;
            end_writing(way);
        }
    }
    if (way->from_ended && way->taken == way->filled)
        end_writing(way);
}

static int pass(void)
{
    ways[0].from = STDIN_FILENO;
    ways[0].to = STREAM_FD;
    ways[0].to_stream = true;
    ways[1].from = STREAM_FD;
    ways[1].to = STDOUT_FILENO;
    for (int i = 0; i < 2; i++) {
        fcntl(ways[i].from, F_SETFL, O_NONBLOCK);
        fcntl(ways[i].to, F_SETFL, O_NONBLOCK);
    }
    /* Like a remote shell it ends when the other side has ended: rsync waits for that before it closes
     * its own. */
    while (!ways[1].to_ended) {
        struct pollfd polls[4];
        nfds_t count = 0;

        for (int i = 0; i < 2; i++) {
            struct way *way = &ways[i];
            if (way->to_ended)
                continue;
            if (way->taken < way->filled)
                polls[count++] = (struct pollfd){.fd = way->to, .events = POLLOUT};
            else
                polls[count++] = (struct pollfd){.fd = way->from, .events = POLLIN};
        }
        if (poll(polls, count, -1) < 0 && errno != EINTR)
            return 1;
        move(&ways[0]);
        move(&ways[1]);
    }
    return 0;
}

static int run(char **argv)
{
    int null_fd = open("/dev/null", O_RDWR);

    /* Over 9 even when it is taken: nothing else is open in this program. */
    if (null_fd < 0 || dup2(STDIN_FILENO, STREAM_FD) < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        perror("poolherd-pipe");
        return 125;
    }
    if (null_fd > STDERR_FILENO)
        close(null_fd);
    execvp(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    return 127;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "run") == 0)
        return run(argv + 2);
    if (argc >= 2 && strcmp(argv[1], "pass") == 0)
        return pass();
    fprintf(stderr, "poolherd-pipe is started by poolherd-agent for copies of directory pools\n");
    return 2;
}
