/* tests/unit/plan_text.h - parts of a plan as text that a test can compare. */
#ifndef TARN_TESTS_PLAN_TEXT_H
#define TARN_TESTS_PLAN_TEXT_H

#include "schema/base/buf.h"
#include "schema/view/plan.h"

/* `UPSERT shop.v1.Ordered of shop, home; each lines; into lines[sku=element.sku]; key user_id=user_id; note='x'` */
void plan_text_handler(const struct handler *handler, struct buf *text);

/* `score > 3` */
void plan_text_condition(const struct condition *condition, struct buf *text);

/* `lists orders[order_id] by -at keep 7; total=sum orders.total; inside orders, first; hidden user_id; alters` */
void plan_text_rules(const struct message_rules *rules, struct buf *text);

#endif
