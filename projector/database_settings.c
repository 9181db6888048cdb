#include "projector/database_settings.h"

enum { IDLE_S = 60 }; /* a leader that fell silent is followed after this long */

int database_settings_open(const struct database_settings *settings, struct mysql_session **ret_session,
                           struct err *err)
{
    struct mysql_settings mysql = {
        .url = settings->url,
        .ca_file = settings->ca_file,
        .timeout_s = (unsigned)((settings->timeout_ms + 999) / 1000),
        .idle_s = IDLE_S,
    };

    while (strcmp(mysql_tls_names[mysql.tls], settings->tls) != 0)
        mysql.tls++;
    return mysql_session_new(&mysql, ret_session, err);
}
