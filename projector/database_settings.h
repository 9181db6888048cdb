/* projector/database_settings.h - how commands are told about the write database. */
#ifndef TARN_PROJECTOR_DATABASE_SETTINGS_H
#define TARN_PROJECTOR_DATABASE_SETTINGS_H

#include "ops/runtime/config.h"
#include "projector/mysql_session.h"

/* A command's settings have it as `database`, and DATABASE_OPTIONS among their rows. */
struct database_settings {
    const char *url;
    const char *tls;
    const char *ca_file;
    int64_t timeout_ms;
};

#define DATABASE_OPTIONS(type)                                                                                         \
    {.name = "database", .kind = CONFIG_TEXT, .offset = offsetof(type, database.url), .placeholder = "URL",            \
     .is_required = true, .is_secret = true,                                                                           \
     .help = "The write database: mysql://USER:PASSWORD@HOST:PORT/DATABASE, percent-escaped; ?socket=/path for a "     \
             "socket."},                                                                                               \
    {.name = "database-tls", .kind = CONFIG_CHOICE, .offset = offsetof(type, database.tls), .placeholder = "MODE",     \
     .fallback = "required", .choices = mysql_tls_names,                                                               \
     .help = "disabled: plain text; required: encrypted; verify-identity: and the server's certificate is checked."},  \
    {.name = "database-ca", .kind = CONFIG_TEXT, .offset = offsetof(type, database.ca_file), .placeholder = "FILE",    \
     .help = "PEM file of the authorities for verify-identity. Default: the system's."},                               \
    {.name = "database-timeout", .kind = CONFIG_TIME_MS, .offset = offsetof(type, database.timeout_ms),                \
     .placeholder = "TIME", .fallback = "30s", .min = 1000, .max = 3600 * 1000,                                        \
     .help = "How long the database may take for one answer."}

MUST_CHECK int database_settings_open(const struct database_settings *settings, struct mysql_session **ret_session,
                                      struct err *err);

#endif
