/* projector/sql_text.h - SQL put together so that no value can be taken for SQL. Pure.
 *
 * Texts and bytes are written in hexadecimal: no character set and no sql_mode changes what they mean. */
#ifndef TARN_PROJECTOR_SQL_TEXT_H
#define TARN_PROJECTOR_SQL_TEXT_H

#include "schema/base/buf.h"

void sql_add_name(struct buf *sql, const char *name);        /* `outbox`, a backtick inside doubled */
void sql_add_table(struct buf *sql, const char *name);       /* `bank`.`outbox` of "bank.outbox" */
void sql_add_text(struct buf *sql, struct span utf8);        /* _utf8mb4 X'...' */
void sql_add_bytes(struct buf *sql, struct span bytes);      /* X'...' */

#endif
