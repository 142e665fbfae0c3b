/* A client that costs next to nothing: keep-alive connections to 127.0.0.1 that send prepared
 * requests one after the other, each the next when the last answer is complete.
 *
 * usage: lean_client PORT CONNECTIONS REQUESTS RESULTS
 *
 * REQUESTS holds each request after its length (32 bits). Once all connections are open it writes
 * a byte and waits for one; then it sends, and writes to RESULTS the seconds that all took and,
 * for each request, the seconds and the status of its answer (doubles). It ends with 1 when a
 * connection breaks or an answer is not understood.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FAIL(what) do { fputs(what "\n", stderr); exit(1); } while (0)

struct connection {
    int fd, waits_to_write, waits_for_answer;
    uint32_t number;
    size_t written, have, room;
    double sent;
    char *answer;
};

static char **requests;
static uint32_t *lengths;
static double *results;
static uint32_t total, next_request, answered;
static int poll_fd;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, operation, c->fd, &event) != 0) FAIL("epoll");
}

static void write_on(struct connection *c) {
    while (c->written < lengths[c->number]) {
        ssize_t sent = write(c->fd, requests[c->number] + c->written, lengths[c->number] - c->written);
        if (sent <= 0) {
            if (!c->waits_to_write) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->waits_to_write = 1;
            return;
        }
        c->written += sent;
    }
    if (c->waits_to_write) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->waits_to_write = 0;
}

static void send_next(struct connection *c) {
    if (next_request == total) return;
    c->number = next_request++;
    c->written = c->have = 0;
    c->waits_for_answer = 1;
    c->sent = now();
    write_on(c);
}

/* Whether the answer is whole; its length is in its head, or it has no body. */
static int is_whole(struct connection *c) {
    char *end = memmem(c->answer, c->have, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    size_t length = 0;
    for (char *line = c->answer; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, "content-length:", 15) == 0) length = strtoul(line + 15, NULL, 10);
        if (strncasecmp(line, "transfer-encoding:", 18) == 0) FAIL("an answer in chunks");
    }
    return c->have >= (size_t)(end - c->answer) + 4 + length;
}

static void read_on(struct connection *c) {
    if (c->room - c->have < 4096) {
        c->room = c->room * 2 + 8192;
        c->answer = realloc(c->answer, c->room);
        if (c->answer == NULL) FAIL("memory");
    }
    ssize_t got = read(c->fd, c->answer + c->have, c->room - c->have - 1);
    if (got <= 0 && !c->waits_for_answer) {
        close(c->fd);
        return;
    }
    if (got <= 0) FAIL("the server closed a connection under load");
    c->have += got;
    c->answer[c->have] = 0;
    if (!is_whole(c)) return;
    if (strncmp(c->answer, "HTTP/1.1 ", 9) != 0) FAIL("no HTTP");
    results[1 + 2 * c->number] = now() - c->sent;
    results[2 + 2 * c->number] = atoi(c->answer + 9);
    answered++;
    c->waits_for_answer = 0;
    send_next(c);
}

static void load(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about) != 0) FAIL("no requests");
    char *data = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED) FAIL("no requests");
    size_t most = about.st_size / 5 + 1;
    requests = malloc(most * sizeof *requests);
    lengths = malloc(most * sizeof *lengths);
    for (off_t at = 0; at < about.st_size; at += 4 + lengths[total++]) {
        memcpy(&lengths[total], data + at, 4);
        requests[total] = data + at + 4;
    }
}

static void connect_to(struct connection *c, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) FAIL("no connection");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

int main(int count, char **arguments) {
    if (count != 5) FAIL("usage: lean_client PORT CONNECTIONS REQUESTS RESULTS");
    int connections = atoi(arguments[2]);
    struct connection *all = calloc(connections, sizeof *all);
    struct epoll_event events[256];
    char go;
    load(arguments[3]);
    size_t size = (1 + 2 * (size_t)total) * sizeof *results;
    results = calloc(1, size);
    poll_fd = epoll_create1(0);
    for (int i = 0; i < connections; i++) connect_to(&all[i], atoi(arguments[1]));
    if (write(1, "r", 1) != 1 || read(0, &go, 1) != 1) FAIL("nobody waits");
    double started = now();
    for (int i = 0; i < connections; i++) send_next(&all[i]);
    while (answered < total) {
        int ready = epoll_wait(poll_fd, events, 256, 60000);
        if (ready <= 0) FAIL("no answer within a minute");
        for (int i = 0; i < ready; i++) {
            if (events[i].events & EPOLLOUT) write_on(events[i].data.ptr);
            if (events[i].events & ~EPOLLOUT) read_on(events[i].data.ptr);
        }
    }
    results[0] = now() - started;
    FILE *out = fopen(arguments[4], "wb");
    if (out == NULL || fwrite(results, 1, size, out) != size || fclose(out) != 0) FAIL("no results");
    return 0;
}
