/* From the left: scheme, what stands before the last '@' of the authority, host, port, database, query. */
#include "projector/mysql_url.h"

#include "ops/runtime/url.h"

enum { PORT_DEFAULT = 3306, PORT_MAX = 65535 };

static const char *const schemes[] = {"mysql://", "mariadb://"};

/* NULL: a malformed escape, or a NUL inside. */
static const char *decode(struct span encoded, struct arena *arena)
{
    struct span decoded;

    if (!url_decode(encoded, false, arena, &decoded) || memchr(decoded.len ? decoded.at : "", '\0', decoded.len))
        return NULL;
    char *text = arena_zero(arena, decoded.len + 1);
    memcpy(text, decoded.len ? decoded.at : "", decoded.len);
    return text;
}

/* Splits at the first `mark` (the last one, when is_last); without one, all is on the left and false is returned. */
static bool split(struct span whole, char mark, bool is_last, struct span *left, struct span *right)
{
    const char *at = whole.len == 0 ? NULL
                     : is_last      ? memrchr(whole.at, mark, whole.len)
                                    : memchr(whole.at, mark, whole.len);
    if (at == NULL) {
        *left = whole;
        *right = span_of(NULL, 0);
        return false;
    }
    size_t before = (size_t)(at - (const char *)whole.at);
    *left = span_of(whole.at, before);
    *right = span_of(at + 1, whole.len - before - 1);
    return true;
}

static bool parse_port(struct span text, uint16_t *ret_port)
{
    unsigned port = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t digit = span_bytes(text)[i];
        if (digit < '0' || digit > '9' || (port = port * 10 + digit - '0') > PORT_MAX)
            return false;
    }
    *ret_port = (uint16_t)port;
    return port > 0;
}

static int parse_query(struct span query, struct arena *arena, struct mysql_url *url, struct err *err)
{
    struct span name, value;
    bool is_ok = true;

    while (query.len > 0 && url_query_next(&query, arena, &name, &value, &is_ok)) {
        if (!is_ok || !span_equal_text(name, "socket"))
            return err_set(err, ERR_INPUT, "behind the ? only socket=/path is known");
        char *path = arena_zero(arena, value.len + 1);
        memcpy(path, value.len ? value.at : "", value.len);
        url->socket = path;
    }
    return is_ok ? 0 : err_set(err, ERR_INPUT, "what stands behind the ? has a malformed escape");
}

int mysql_url_parse(const char *text, struct arena *arena, struct mysql_url *ret_url, struct err *err)
{
    struct mysql_url url = {.port = PORT_DEFAULT};
    struct span rest = span_of_text(text), authority, query, account, address, user, password, host, port;
    size_t scheme = 0;

    while (scheme < ARRAY_COUNT(schemes) && !span_starts_with(rest, span_of_text(schemes[scheme])))
        scheme++;
    if (scheme == ARRAY_COUNT(schemes))
        return err_set(err, ERR_INPUT, "it begins with mysql://");
    rest = span_of(text + strlen(schemes[scheme]), rest.len - strlen(schemes[scheme]));
    split(rest, '?', false, &rest, &query);
    if (!split(rest, '@', true, &account, &rest))
        return err_set(err, ERR_INPUT, "it names no user: mysql://USER:PASSWORD@HOST/DATABASE");
    bool has_database = split(rest, '/', false, &authority, &rest) && rest.len > 0;
    split(account, ':', false, &user, &password);
    address = authority;
    if (address.len > 0 && span_bytes(address)[0] == '[') { /* an IPv6 address, with or without a port behind it */
        if (!split(span_of(span_bytes(address) + 1, address.len - 1), ']', false, &host, &port))
            return err_set(err, ERR_INPUT, "the address lacks its ]");
        if (port.len > 0)
            port = span_of(span_bytes(port) + 1, port.len - 1);
    } else {
        split(address, ':', false, &host, &port);
    }
    if (port.len > 0 && !parse_port(port, &url.port))
        return err_set(err, ERR_INPUT, "the port is no number from 1 to %d", PORT_MAX);
    int rc = parse_query(query, arena, &url, err);
    if (rc < 0)
        return rc;
    url.user = decode(user, arena);
    url.password = decode(password, arena);
    url.host = host.len > 0 ? decode(host, arena) : NULL;
    url.database = decode(rest, arena);
    if (url.user == NULL || url.password == NULL || url.database == NULL || (host.len > 0 && url.host == NULL))
        return err_set(err, ERR_INPUT, "it has a malformed percent-escape");
    if (url.host == NULL && url.socket == NULL)
        return err_set(err, ERR_INPUT, "it names no host");
    if (!has_database || user.len == 0)
        return err_set(err, ERR_INPUT, "it names no %s: mysql://USER:PASSWORD@HOST/DATABASE",
                       user.len == 0 ? "user" : "database");
    *ret_url = url;
    return 0;
}
