/* Starts the loops and stops them. All that a loop needs is made here, before its thread runs, so that a fault is the
 * caller's to report and a loop can't fail to start. */
#include "ops/runtime/http_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ops/runtime/http_address.h"
#include "ops/runtime/http_loop.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

const struct http_limits http_limits_default = {
    .header_bytes = 16 * 1024,
    .header_fields = 100,
    .url_bytes = 4 * 1024,
    .body_bytes = 64 * 1024,
    .connections = 10000,
    .header_timeout_ms = 10000,
    .idle_timeout_ms = 60000,
    .send_timeout_ms = 10000,
};

struct http_server {
    struct http_server_options options;
    struct http_address address;
    struct http_counters own_counters; /* when the caller doesn't ask for them */
    _Atomic int64_t open_connections;
    struct http_loop **loops;
    unsigned made;    /* loops */
    unsigned started; /* threads */
};

static int make_loop(struct http_server *server, unsigned thread, struct err *err);
static void free_server(struct http_server *server);

int http_server_start(const struct http_server_options *options, struct http_server **ret_server, struct err *err)
{
    struct http_server *server = mem_zero(1, sizeof(*server));

    assert(options->limits.header_fields <= HTTP_FIELDS_MAX);
    server->options = *options;
    server->options.threads = options->threads > 0 ? options->threads : 1;
    server->loops = mem_zero(server->options.threads, sizeof(*server->loops));
    server->address.lock_fd = -1;
    int rc = http_address_bind(options->address, server->options.threads, &server->address, err);
    for (unsigned i = 0; rc == 0 && i < server->options.threads; i++)
        rc = make_loop(server, i, err);
    for (unsigned i = 0; rc == 0 && i < server->options.threads; i++) {
        int error = pthread_create(&server->loops[i]->id, NULL, http_loop_run, server->loops[i]);
        if (error != 0)
            rc = err_set_errno(err, ERR_FULL, error, "starting a thread");
        else
            server->started++;
    }
    if (rc < 0) {
        http_server_stop(&server, 0);
        return rc;
    }
    *ret_server = server;
    return 0;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address.text;
}

static void wake(struct http_loop *loop)
{
    uint64_t one = 1;

    (void)!write(loop->wake_fd, &one, sizeof(one)); /* it can only fail when a wake-up is pending */
}

void http_server_wake(struct http_server *server)
{
    for (unsigned i = 0; i < server->started; i++) {
        atomic_store_explicit(&server->loops[i]->is_woken, true, memory_order_release);
        wake(server->loops[i]);
    }
}

void http_server_stop(struct http_server **server, int64_t grace_ms)
{
    if (*server == NULL)
        return;
    int64_t stop_at_us = clock_monotonic_us(&clock_system) + grace_ms * 1000;
    for (unsigned i = 0; i < (*server)->started; i++) {
        atomic_store_explicit(&(*server)->loops[i]->stop_at_us, stop_at_us, memory_order_release);
        wake((*server)->loops[i]);
    }
    for (unsigned i = 0; i < (*server)->started; i++)
        pthread_join((*server)->loops[i]->id, NULL);
    free_server(*server);
    *server = NULL;
}

static int make_loop(struct http_server *server, unsigned thread, struct err *err)
{
    struct http_loop *loop = mem_zero(1, sizeof(*loop));
    bool is_shared = server->address.unix_path != NULL;

    server->loops[server->made++] = loop;
    loop->options = &server->options;
    loop->counters = server->options.counters != NULL ? server->options.counters : &server->own_counters;
    loop->open_connections = &server->open_connections;
    loop->thread = thread;
    loop->read_buffer = mem_alloc(HTTP_READ_BYTES);
    loop->listen_fd = server->address.listen_fds[thread];
    server->address.listen_fds[thread] = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0)
        return err_set_errno(err, ERR_FULL, errno, "making an event loop");

    struct epoll_event on_wake = {.events = EPOLLIN, .data.ptr = &loop->wake_fd};
    struct epoll_event on_accept = {.events = EPOLLIN | (is_shared ? (uint32_t)EPOLLEXCLUSIVE : 0),
                                    .data.ptr = &loop->listen_fd};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &on_wake) < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->listen_fd, &on_accept) < 0)
        return err_set_errno(err, ERR_FULL, errno, "making an event loop");
    return 0;
}

static void free_server(struct http_server *server)
{
    for (unsigned i = 0; i < server->made; i++) {
        struct http_loop *loop = server->loops[i];
        if (loop->epoll_fd >= 0)
            close(loop->epoll_fd);
        if (loop->wake_fd >= 0)
            close(loop->wake_fd);
        if (loop->listen_fd >= 0)
            close(loop->listen_fd);
        buf_release(&loop->out);
        buf_release(&loop->headers);
        buf_release(&loop->body);
        arena_release(&loop->arena);
        free(loop->read_buffer);
        free(loop);
    }
    http_address_release(&server->address);
    free(server->loops);
    free(server);
}
