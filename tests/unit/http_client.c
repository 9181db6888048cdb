#include "tests/unit/http_client.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

int client_connect(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail_msg("cannot connect to %s", address);
    return fd;
}

void client_send(int fd, const char *text)
{
    size_t len = strlen(text);

    if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        fail_msg("cannot send");
}

void client_read(int fd, bool is_head, struct http_reply *reply)
{
    char byte;

    buf_clear(&reply->head);
    buf_clear(&reply->body);
    reply->status = 0;
    while (reply->head.len < 4 || memcmp(reply->head.at + reply->head.len - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(fd, &byte, 1, 0);
        if (got < 0 && reply->head.len > 0)
            fail_msg("no whole answer came: %s", buf_text(&reply->head));
        if (got <= 0)
            return;
        buf_add_byte(&reply->head, (uint8_t)byte);
    }
    reply->status = atoi(buf_text(&reply->head) + sizeof("HTTP/1.1"));
    const char *length = reply_field(reply, "Content-Length");
    size_t left = length != NULL && !is_head ? strtoul(length, NULL, 10) : 0;
    while (left > 0) {
        ssize_t got = recv(fd, buf_reserve(&reply->body, left), left, 0);
        if (got <= 0)
            fail_msg("the body ends early");
        reply->body.len += (size_t)got;
        left -= (size_t)got;
    }
    (void)buf_text(&reply->body);
}

void client_ask(const char *address, const char *request, struct http_reply *reply)
{
    int fd = client_connect(address);

    client_send(fd, request);
    client_read(fd, strncmp(request, "HEAD", 4) == 0, reply);
    close(fd);
}

const char *reply_field(const struct http_reply *reply, const char *name)
{
    static char value[4096];
    const char *line = (const char *)reply->head.at;
    const char *end = line + reply->head.len;
    size_t len = strlen(name);

    for (; line != NULL && line < end; line = memmem(line, (size_t)(end - line), "\r\n", 2)) {
        line += line == (const char *)reply->head.at ? 0 : 2;
        if (strncasecmp(line, name, len) != 0 || line[len] != ':')
            continue;
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + len + 2, "\r"), line + len + 2);
        return value;
    }
    return NULL;
}

void reply_release(struct http_reply *reply)
{
    buf_release(&reply->head);
    buf_release(&reply->body);
}

bool client_is_closed(int fd)
{
    char byte;

    return recv(fd, &byte, 1, 0) == 0;
}
