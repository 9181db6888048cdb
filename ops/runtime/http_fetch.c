/* One connection for one request, told to close: the answer ends where the connection does, or where Content-Length says.
 * The deadline is one for the whole exchange, so that a dripping server costs no more than a silent one. */
#include "ops/runtime/http_fetch.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schema/base/clock.h"

enum { HOST_MAX = 256, PORT_MAX = 6, HEADER_BYTES_MAX = 16384, READ_BYTES = 16384 };

struct target {
    char host[HOST_MAX]; /* of an IPv6 address without its brackets */
    char port[PORT_MAX];
    const char *authority; /* in the URL, as the Host header wants it */
    size_t authority_len;
    const char *path; /* in the URL; "" stands for "/" */
};

static bool copy_part(char *to, size_t size, const char *from, size_t len)
{
    if (len == 0 || len >= size)
        return false;
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

static int parse(const char *url, struct target *target, struct err *err)
{
    static const char scheme[] = "http://";
    const char *at = url + sizeof(scheme) - 1;

    if (strncasecmp(url, scheme, sizeof(scheme) - 1) != 0)
        return err_set(err, ERR_INPUT, "%s: only http:// can be asked", url);
    for (const char *c = url; *c != '\0'; c++)
        if (*c <= ' ' || *c == 0x7f || *c == '#' || *c == '@')
            return err_set(err, ERR_INPUT, "%s is not a plain http:// URL", url);
    target->authority = at;
    target->authority_len = strcspn(at, "/?");
    target->path = at + target->authority_len;

    const char *end = target->path;
    const char *host_end;
    bool is_v6 = *at == '[';
    if (is_v6) {
        at++;
        host_end = memchr(at, ']', (size_t)(end - at));
        if (host_end == NULL)
            return err_set(err, ERR_INPUT, "%s: the address has no end", url);
    } else {
        host_end = at + strcspn(at, ":/?");
    }
    const char *port = host_end + is_v6;
    if (!copy_part(target->host, sizeof(target->host), at, (size_t)(host_end - at)))
        return err_set(err, ERR_INPUT, "%s: there is no host in it", url);
    snprintf(target->port, sizeof(target->port), "80");
    if (port < end && (*port != ':' || strspn(port + 1, "0123456789") != (size_t)(end - port - 1) ||
                       !copy_part(target->port, sizeof(target->port), port + 1, (size_t)(end - port - 1))))
        return err_set(err, ERR_INPUT, "%s: its port is no number", url);
    return 0;
}

int http_fetch_check(const char *url, struct err *err)
{
    struct target target;

    return parse(url, &target, err);
}

/* False: the time is up. */
static bool wait_for(int fd, short events, int64_t end_us)
{
    struct pollfd waiting = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_us = end_us - clock_monotonic_us(&clock_system);
        if (left_us <= 0)
            return false;
        int ready = poll(&waiting, 1, (int)(left_us / 1000) + 1);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

static int try_address(const struct addrinfo *address, int64_t end_us)
{
    int failure = 0;
    socklen_t size = sizeof(failure);
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);

    if (fd < 0)
        return -1;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && wait_for(fd, POLLOUT, end_us) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0)
        return fd;
    failure = failure != 0 ? failure : errno;
    close(fd);
    errno = failure;
    return -1;
}

static int connect_to(const struct target *target, int64_t end_us, int *ret_fd, struct err *err)
{
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int fd = -1;

    int failure = getaddrinfo(target->host, target->port, &wanted, &addresses);
    if (failure != 0)
        return err_set(err, ERR_AGAIN, "%s: %s", target->host, gai_strerror(failure));
    for (const struct addrinfo *address = addresses; fd < 0 && address != NULL; address = address->ai_next)
        fd = try_address(address, end_us);
    int reason = errno;
    freeaddrinfo(addresses);
    if (fd < 0)
        return err_set_errno(err, ERR_AGAIN, reason, "%s port %s: no connection", target->host, target->port);
    *ret_fd = fd;
    return 0;
}

static int send_all(int fd, struct span bytes, int64_t end_us, struct err *err)
{
    size_t sent = 0;

    while (sent < bytes.len) {
        ssize_t done = send(fd, span_bytes(bytes) + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (done > 0)
            sent += (size_t)done;
        else if (errno != EAGAIN && errno != EINTR)
            return err_set_errno(err, ERR_AGAIN, errno, "the connection broke");
        else if (!wait_for(fd, POLLOUT, end_us))
            return err_set(err, ERR_AGAIN, "no answer in time");
    }
    return 0;
}

/* The whole answer, up to its end or to what Content-Length promises. */
struct answer {
    struct buf bytes;
    size_t header_len; /* with the empty line; 0: not there yet */
    int64_t body_len;  /* -1: up to the end of the connection */
};

/* "HTTP/1.x 200 ...". False: it is no status line. */
static bool read_status(const char *line, int *ret_status)
{
    static const char version[] = "HTTP/1.";
    const char *status = line + sizeof(version) + 1; /* behind the digit and the blank */

    if (strncmp(line, version, sizeof(version) - 1) != 0 || !isdigit((unsigned char)status[-2]) || status[-1] != ' ' ||
        strspn(status, "0123456789") != 3)
        return false;
    *ret_status = (int)strtol(status, NULL, 10);
    return true;
}

static bool read_length(const char *value, int64_t *ret_length)
{
    char *end;

    value += strspn(value, " \t");
    errno = 0;
    long long length = strtoll(value, &end, 10);
    if (errno != 0 || !isdigit((unsigned char)*value) || end[strspn(end, " \t")] != '\r')
        return false;
    *ret_length = length;
    return true;
}

static int read_header(struct answer *answer, struct err *err)
{
    const char *text = buf_text(&answer->bytes);
    const char *end = strstr(text, "\r\n\r\n");
    int status = 0;

    if (end == NULL)
        return answer->bytes.len > HEADER_BYTES_MAX ? err_set(err, ERR_INPUT, "the answer isn't HTTP") : 0;
    if (!read_status(text, &status))
        return err_set(err, ERR_INPUT, "the answer isn't HTTP/1.x");
    if (status != 200)
        return err_set(err, ERR_AGAIN, "the answer's status is %d", status);
    answer->header_len = (size_t)(end - text) + 4;
    answer->body_len = -1;
    for (const char *line = strstr(text, "\r\n"); line < end; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "transfer-encoding:", 18) == 0)
            return err_set(err, ERR_INPUT, "the answer has a transfer encoding");
        if (strncasecmp(line + 2, "content-length:", 15) == 0 && !read_length(line + 17, &answer->body_len))
            return err_set(err, ERR_INPUT, "the answer's length is no number");
    }
    return 0;
}

static bool is_whole(const struct answer *answer)
{
    return answer->header_len > 0 && answer->body_len >= 0 &&
           answer->bytes.len - answer->header_len >= (size_t)answer->body_len;
}

static int receive(int fd, int64_t end_us, size_t max_bytes, struct answer *answer, struct err *err)
{
    int rc = 0;

    while (rc == 0 && !is_whole(answer)) {
        ssize_t got = recv(fd, buf_reserve(&answer->bytes, READ_BYTES), READ_BYTES, 0);
        if (got == 0)
            break;
        if (got > 0) {
            answer->bytes.len += (size_t)got;
            if (answer->header_len == 0)
                rc = read_header(answer, err);
            if (rc == 0 && answer->bytes.len > HEADER_BYTES_MAX + max_bytes)
                rc = err_set(err, ERR_INPUT, "the answer has more than %zu bytes", max_bytes);
        } else if (errno != EAGAIN && errno != EINTR) {
            rc = err_set_errno(err, ERR_AGAIN, errno, "the connection broke");
        } else if (!wait_for(fd, POLLIN, end_us)) {
            rc = err_set(err, ERR_AGAIN, "no answer in time");
        }
    }
    if (rc == 0 && (answer->header_len == 0 || (answer->body_len >= 0 && !is_whole(answer))))
        rc = err_set(err, ERR_AGAIN, "the connection ended within the answer");
    return rc;
}

int http_fetch(const char *url, int64_t timeout_ms, size_t max_bytes, struct buf *body, struct err *err)
{
    int64_t end_us = clock_monotonic_us(&clock_system) + timeout_ms * 1000;
    struct answer answer = {.bytes = BUF_INIT};
    struct buf request = BUF_INIT;
    struct target target;
    int fd = -1;

    int rc = parse(url, &target, err);
    if (rc < 0)
        return rc;
    buf_add_format(&request, "GET %s%s HTTP/1.1\r\nHost: %.*s\r\nConnection: close\r\nAccept: text/plain\r\n\r\n",
                   *target.path == '/' ? "" : "/", target.path, (int)target.authority_len, target.authority);
    rc = connect_to(&target, end_us, &fd, err);
    if (rc == 0)
        rc = send_all(fd, buf_span(&request), end_us, err);
    if (rc == 0)
        rc = receive(fd, end_us, max_bytes, &answer, err);
    if (rc == 0) {
        size_t length = answer.bytes.len - answer.header_len;
        if (answer.body_len >= 0 && length > (size_t)answer.body_len)
            length = (size_t)answer.body_len;
        buf_add(body, answer.bytes.at + answer.header_len, length);
    }
    if (fd >= 0)
        close(fd);
    buf_release(&request);
    buf_release(&answer.bytes);
    return rc < 0 ? err_prefix(err, "%s", url) : 0;
}
