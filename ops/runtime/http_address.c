/* SO_REUSEPORT gives each loop a queue of its own, and gives a second server of the same user half of the clients
 * without a word. Two things stand against that. A socket without SO_REUSEPORT is bound first, and closed again: it
 * fails when anybody listens there, whoever it is and whatever it allows. And a name is bound in the abstract namespace
 * of Unix sockets and kept: it lives exactly where ports live (the network namespace), dies with the process, and
 * closes the gap in which two starting servers could both find the port free. A lock file would need a folder that all
 * agree on, and would outlive a crash. */
#include "ops/runtime/http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "schema/base/mem.h"

enum { BACKLOG = 4096, TEXT_BYTES = 128 };

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage room;
};

static int parse(const char *text, union any_address *ret_address, socklen_t *ret_length, struct err *err);
static int bind_ports(const char *text, union any_address *address, socklen_t length, struct http_address *bound,
                      struct err *err);
static int bind_path(const char *path, struct http_address *bound, struct err *err);

int http_address_bind(const char *text, size_t count, struct http_address *ret_address, struct err *err)
{
    struct http_address bound = {.listen_fds = mem_alloc(count * sizeof(int)), .count = count, .lock_fd = -1};
    union any_address address;
    socklen_t length = 0;
    int rc;

    for (size_t i = 0; i < count; i++)
        bound.listen_fds[i] = -1;
    if (strncmp(text, "unix:", 5) == 0) {
        rc = bind_path(text + 5, &bound, err);
    } else {
        rc = parse(text, &address, &length, err);
        if (rc == 0)
            rc = bind_ports(text, &address, length, &bound, err);
    }
    if (rc < 0) {
        http_address_release(&bound);
        return rc;
    }
    *ret_address = bound;
    return 0;
}

void http_address_release(struct http_address *address)
{
    for (size_t i = 0; i < address->count; i++)
        if (address->listen_fds[i] >= 0)
            close(address->listen_fds[i]);
    if (address->lock_fd >= 0)
        close(address->lock_fd);
    if (address->unix_path != NULL)
        unlink(address->unix_path);
    free(address->listen_fds);
    free(address->text);
    free(address->unix_path);
    *address = (struct http_address){.lock_fd = -1};
}

/* "HOST:PORT", "[V6]:PORT", ":PORT". */
static int parse(const char *text, union any_address *ret_address, socklen_t *ret_length, struct err *err)
{
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    char host[TEXT_BYTES];

    if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strtol(colon + 1, NULL, 10) > 65535)
        return err_set(err, ERR_INPUT,
                       "\"%s\": an address to listen on is ADDR:PORT, [V6ADDR]:PORT, :PORT or unix:PATH", text);
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return err_set(err, ERR_INPUT, "\"%s\": an IPv6 address to listen on stands in brackets: [::1]:8080", text);
    }
    if (len >= sizeof(host))
        return err_set(err, ERR_INPUT, "\"%s\": the host is too long", text);
    memcpy(host, text, len);
    host[len] = '\0';

    int rc = getaddrinfo(len > 0 ? host : NULL, colon + 1, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INPUT, "\"%s\": %s", text, gai_strerror(rc));
    const struct addrinfo *chosen = found;
    for (const struct addrinfo *at = found; len == 0 && at != NULL; at = at->ai_next)
        if (at->ai_family == AF_INET6) /* which takes IPv4, too */
            chosen = at;
    memcpy(&ret_address->room, chosen->ai_addr, chosen->ai_addrlen);
    *ret_length = chosen->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static uint16_t *port_of(union any_address *address)
{
    return address->any.sa_family == AF_INET6 ? &address->v6.sin6_port : &address->v4.sin_port;
}

static const char *format(union any_address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    bool is_v6 = address->any.sa_family == AF_INET6;

    inet_ntop(address->any.sa_family, is_v6 ? (void *)&address->v6.sin6_addr : (void *)&address->v4.sin_addr, host,
              sizeof(host));
    snprintf(text, size, is_v6 ? "[%s]:%u" : "%s:%u", host, ntohs(*port_of(address)));
    return text;
}

static int bind_socket(union any_address *address, socklen_t length, bool share, int *ret_fd, struct err *err)
{
    static const int on = 1, off = 0;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set_errno(err, ERR_INPUT, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted sockets inherit it */
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, &address->any, length) < 0) {
        int error = errno;
        close(fd);
        return err_set_errno(err, ERR_INPUT, error, "bind");
    }
    *ret_fd = fd;
    return 0;
}

static int lock_name(const char *name, int *ret_fd, struct err *err)
{
    union any_address address = {.local = {.sun_family = AF_UNIX}};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set_errno(err, ERR_INPUT, errno, "socket");
    /* A first byte of 0: the abstract namespace. */
    int len = snprintf(address.local.sun_path + 1, sizeof(address.local.sun_path) - 1, "tarn-listens-on-%s", name);
    if (bind(fd, &address.any, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) < 0) {
        int error = errno;
        close(fd);
        return err_set_errno(err, ERR_INPUT, error, "another Tarn server has locked it");
    }
    *ret_fd = fd;
    return 0;
}

static int bind_ports(const char *text, union any_address *address, socklen_t length, struct http_address *bound,
                      struct err *err)
{
    bool is_kernels_choice = *port_of(address) == 0;
    char name[TEXT_BYTES];
    int probe = -1;
    int rc = 0;

    if (!is_kernels_choice) {
        rc = lock_name(format(address, name, sizeof(name)), &bound->lock_fd, err);
        if (rc == 0)
            rc = bind_socket(address, length, false, &probe, err);
        if (probe >= 0)
            close(probe);
    }
    for (size_t i = 0; rc == 0 && i < bound->count; i++) {
        rc = bind_socket(address, length, true, &bound->listen_fds[i], err);
        if (rc == 0 && i == 0)
            getsockname(bound->listen_fds[0], &address->any, &length);
        if (rc == 0 && i == 0 && is_kernels_choice)
            rc = lock_name(format(address, name, sizeof(name)), &bound->lock_fd, err);
    }
    for (size_t i = 0; rc == 0 && i < bound->count; i++)
        if (listen(bound->listen_fds[i], BACKLOG) < 0)
            rc = err_set_errno(err, ERR_INPUT, errno, "listen");
    if (rc < 0)
        return err_prefix(err, "cannot listen on %s", text);
    bound->text = mem_text(format(address, name, sizeof(name)));
    return 0;
}

/* One socket for all loops: Unix sockets know no SO_REUSEPORT. A socket that a dead server left is removed, one that
 * somebody listens on is not. */
static int bind_path(const char *path, struct http_address *bound, struct err *err)
{
    union any_address address = {.local = {.sun_family = AF_UNIX}};
    struct stat status;

    if (*path == '\0' || strlen(path) >= sizeof(address.local.sun_path))
        return err_set(err, ERR_INPUT, "unix:%s: the path must have 1 to %zu bytes", path,
                       sizeof(address.local.sun_path) - 1);
    memcpy(address.local.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, ERR_INPUT, errno, "socket");
    bound->listen_fds[0] = fd;
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
        if (connect(fd, &address.any, sizeof(address.local)) == 0 || errno != ECONNREFUSED)
            return err_set(err, ERR_INPUT, "cannot listen on unix:%s: somebody listens there", path);
        unlink(path);
    }
    if (bind(fd, &address.any, sizeof(address.local)) < 0 || listen(fd, BACKLOG) < 0)
        return err_set_errno(err, ERR_INPUT, errno, "cannot listen on unix:%s", path);
    bound->unix_path = mem_text(path);
    bound->text = mem_format("unix:%s", path);
    for (size_t i = 1; i < bound->count; i++) {
        bound->listen_fds[i] = dup(fd);
        if (bound->listen_fds[i] < 0)
            return err_set_errno(err, ERR_INPUT, errno, "dup");
    }
    return 0;
}
