/* tests/unit/http_client.h - a client that says exactly the bytes it is told to, for tests of servers. */
#ifndef TARN_TESTS_HTTP_CLIENT_H
#define TARN_TESTS_HTTP_CLIENT_H

#include <stdbool.h>

#include "schema/base/buf.h"

struct http_reply {
    int status;      /* 0: the connection ended instead */
    struct buf head; /* status line and fields, NUL-terminated */
    struct buf body;
};

/* Connects to "127.0.0.1:PORT". Fails the test when it can't. Reads time out after ten seconds, failing the test. */
int client_connect(const char *address);
void client_send(int fd, const char *text);
/* Reads one answer; without a body when is_head. Bytes behind it stay in the socket. */
void client_read(int fd, bool is_head, struct http_reply *reply);
/* One request on a connection of its own. */
void client_ask(const char *address, const char *request, struct http_reply *reply);
/* The field's value (lives until the reply is read again), or NULL. */
const char *reply_field(const struct http_reply *reply, const char *name);
void reply_release(struct http_reply *reply);
/* True when the server has closed: nothing more comes. */
bool client_is_closed(int fd);

#endif
