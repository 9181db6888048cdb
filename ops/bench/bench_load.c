/* Load for the servers that the benchmark compares: the same client for all of them, so that none has the better one.
 *
 *     bench-load http|redis PORT CONNECTIONS SECONDS PEOPLE SHAPE [RATE [ACCEPT]]
 *
 * SHAPE is a path (http) or a key (redis) in which "####" becomes another person's number for each request, with as many
 * digits at least. One thread, one request in flight per connection, keep-alive. RATE 0: each connection asks again as soon as it is answered. With a
 * RATE the load is open-loop: request i is due at start + i / RATE, waits for a free connection if there is none, and its
 * latency counts from when it was due, so that a server that stalls can't hide those who queue behind the stall. An answer
 * that isn't 200, or a GET without a value, ends the measurement. Prints one line of JSON.
 *
 * The requests are made before the clock starts, and of an answer only what is needed to find its end is read: this program
 * shares the cores with the server that it measures. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schema/base/buf.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum { REQUESTS = 16384, ANSWER_BYTES = 65536, EVENTS = 256 };

/* How a protocol asks, and where its answers end. */
struct protocol {
    const char *name;
    void (*ask)(struct buf *out, const char *shape, uint64_t person, const char *accept);
    /* The length of the answer that `bytes` begin with; 0: not there yet, -1: not what was asked for. */
    ssize_t (*answer)(struct span bytes);
};

struct connection {
    int fd;
    int64_t due_us; /* of the request in flight */
    size_t got;
    char answer[ANSWER_BYTES];
};

struct load {
    const struct protocol *protocol;
    struct buf *requests;
    struct connection *connections;
    struct connection **idle;
    size_t idle_count;
    int epoll;
    uint64_t rate;
    int64_t start_us;
    int64_t end_us;
    uint64_t asked;
    int64_t *latencies_us;
    size_t answered;
    size_t capacity;
    uint64_t bytes;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-load: %s: %s\n", what, why);
    exit(1);
}

/* --- protocols --- */

static void add_shape(struct buf *out, const char *shape, uint64_t person)
{
    size_t before = strcspn(shape, "#");
    size_t digits = strspn(shape + before, "#");

    buf_add(out, shape, before);
    if (digits > 0)
        buf_add_format(out, "%0*" PRIu64, (int)digits, person);
    buf_add_text(out, shape + before + digits);
}

static void http_ask(struct buf *out, const char *shape, uint64_t person, const char *accept)
{
    buf_add_text(out, "GET ");
    add_shape(out, shape, person);
    buf_add_text(out, " HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    if (*accept != '\0')
        buf_add_format(out, "Accept: %s\r\n", accept);
    buf_add_text(out, "\r\n");
}

static ssize_t http_answer(struct span bytes)
{
    static const char ok[] = "HTTP/1.1 200", length[] = "\r\nContent-Length: ";
    const char *header_end = memmem(bytes.at, bytes.len, "\r\n\r\n", 4);

    if (header_end == NULL)
        return 0;
    size_t header = (size_t)(header_end - (const char *)bytes.at) + 4;
    const char *at = memmem(bytes.at, header, length, sizeof(length) - 1);
    if (memcmp(bytes.at, ok, sizeof(ok) - 1) != 0 || at == NULL)
        return -1;
    size_t whole = header + strtoull(at + sizeof(length) - 1, NULL, 10);
    return bytes.len >= whole ? (ssize_t)whole : 0;
}

static void redis_ask(struct buf *out, const char *shape, uint64_t person, const char *accept)
{
    struct buf key = BUF_INIT;

    (void)accept;
    add_shape(&key, shape, person);
    buf_add_format(out, "*2\r\n$3\r\nGET\r\n$%zu\r\n", key.len);
    buf_add_span(out, buf_span(&key));
    buf_add_text(out, "\r\n");
    buf_release(&key);
}

static ssize_t redis_answer(struct span bytes)
{
    const char *text = bytes.at;
    const char *line_end = memchr(text, '\n', bytes.len);

    if (line_end == NULL)
        return 0;
    if (text[0] != '$' || text[1] == '-')
        return -1;
    size_t whole = (size_t)(line_end - text) + 1 + strtoull(text + 1, NULL, 10) + 2;
    return bytes.len >= whole ? (ssize_t)whole : 0;
}

static const struct protocol protocols[] = {
    {"http", http_ask, http_answer},
    {"redis", redis_ask, redis_answer},
};

/* --- connections --- */

static void connection_open(struct load *load, struct connection *connection, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};
    int one = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        fail("connection", strerror(errno));
    load->idle[load->idle_count++] = connection;
}

static void ask(struct load *load, struct connection *connection, int64_t due_us)
{
    const struct buf *request = &load->requests[load->asked++ % REQUESTS];

    connection->due_us = due_us;
    connection->got = 0;
    if (send(connection->fd, request->at, request->len, MSG_NOSIGNAL) != (ssize_t)request->len)
        fail("request", strerror(errno));
}

/* Asks whatever is due, as long as a connection is free. */
static void ask_due(struct load *load, int64_t now_us)
{
    while (load->idle_count > 0 && now_us < load->end_us) {
        int64_t due_us = load->rate ? load->start_us + (int64_t)(load->asked * 1000000 / load->rate) : now_us;
        if (due_us > now_us || due_us >= load->end_us)
            return;
        ask(load, load->idle[--load->idle_count], due_us);
    }
}

static void take(struct load *load, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->got, ANSWER_BYTES - connection->got, 0);

    if (got <= 0)
        fail("answer", got == 0 ? "the server closed the connection" : strerror(errno));
    connection->got += (size_t)got;
    ssize_t whole = load->protocol->answer(span_of(connection->answer, connection->got));
    if (whole < 0 || connection->got == ANSWER_BYTES || (whole > 0 && (size_t)whole != connection->got))
        fail("answer", "isn't the one that was asked for");
    if (whole == 0)
        return;
    load->latencies_us =
        mem_grow(load->latencies_us, load->answered, &load->capacity, sizeof(*load->latencies_us));
    load->latencies_us[load->answered++] = clock_monotonic_us(&clock_system) - connection->due_us;
    load->bytes += connection->got;
    load->idle[load->idle_count++] = connection;
}

/* How long to sleep at most. */
static long ns_until_due(const struct load *load, int64_t now_us)
{
    int64_t due_us = load->start_us + (int64_t)(load->rate ? load->asked * 1000000 / load->rate : 0);

    if (load->rate == 0 || load->idle_count == 0 || now_us >= load->end_us || due_us > now_us + 100000)
        return 100000000;
    return due_us > now_us ? (long)(due_us - now_us) * 1000 : 0;
}

/* Until the time is up and everything asked is answered. */
static void run(struct load *load, size_t connection_count)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int64_t now_us = clock_monotonic_us(&clock_system);
        ask_due(load, now_us);
        bool is_over = now_us >= load->end_us;
        if (is_over && load->idle_count == connection_count)
            return;
        if (now_us > load->end_us + 10000000)
            fail("answers", "missing ten seconds after the last request");
        struct timespec until_due = {.tv_nsec = ns_until_due(load, now_us)};
        int count = epoll_pwait2(load->epoll, events, EVENTS, &until_due, NULL);
        for (int i = 0; i < count; i++)
            take(load, events[i].data.ptr);
    }
}

static void requests_make(struct load *load, const char *shape, const char *accept, uint64_t people)
{
    uint64_t random = 1;

    load->requests = mem_zero(REQUESTS, sizeof(*load->requests));
    for (size_t i = 0; i < REQUESTS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        load->protocol->ask(&load->requests[i], shape, (random >> 33) % people, accept);
    }
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static double percentile_ms(const struct load *load, size_t per_mille)
{
    return load->answered ? (double)load->latencies_us[load->answered * per_mille / 1000] / 1e3 : 0;
}

static void print_outcome(struct load *load, int64_t last_us)
{
    struct rusage usage;
    double seconds = (double)(last_us - load->start_us) / 1e6;
    double answered = (double)(load->answered ? load->answered : 1);

    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    qsort(load->latencies_us, load->answered, sizeof(*load->latencies_us), compare_numbers);
    printf("{\"requests\": %zu, \"per_second\": %.0f, \"bytes\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"p999_ms\": %.3f, \"client_cpu_us\": %.2f}\n",
           load->answered, (double)load->answered / seconds, (double)load->bytes / answered, percentile_ms(load, 500),
           percentile_ms(load, 990), percentile_ms(load, 999), cpu * 1e6 / answered);
}

int main(int argc, char **argv)
{
    struct load load = {.epoll = epoll_create1(EPOLL_CLOEXEC)};

    for (size_t i = 0; argc >= 7 && i < ARRAY_COUNT(protocols); i++)
        if (strcmp(argv[1], protocols[i].name) == 0)
            load.protocol = &protocols[i];
    if (load.protocol == NULL) {
        fprintf(stderr, "usage: bench-load http|redis PORT CONNECTIONS SECONDS PEOPLE SHAPE [RATE [ACCEPT]]\n");
        return 2;
    }
    size_t count = strtoull(argv[3], NULL, 10);
    load.rate = argc > 7 ? strtoull(argv[7], NULL, 10) : 0;
    requests_make(&load, argv[6], argc > 8 ? argv[8] : "", strtoull(argv[5], NULL, 10));
    load.connections = mem_zero(count, sizeof(*load.connections));
    load.idle = mem_zero(count, sizeof(*load.idle));
    for (size_t i = 0; i < count; i++)
        connection_open(&load, &load.connections[i], (uint16_t)strtoul(argv[2], NULL, 10));
    load.start_us = clock_monotonic_us(&clock_system);
    load.end_us = load.start_us + (int64_t)(strtod(argv[4], NULL) * 1e6);
    run(&load, count);
    print_outcome(&load, clock_monotonic_us(&clock_system));

    for (size_t i = 0; i < count; i++)
        close(load.connections[i].fd);
    for (size_t i = 0; i < REQUESTS; i++)
        buf_release(&load.requests[i]);
    close(load.epoll);
    free(load.requests);
    free(load.connections);
    free(load.idle);
    free(load.latencies_us);
    return 0;
}
