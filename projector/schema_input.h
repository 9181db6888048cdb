/* projector/schema_input.h - a command's --schema, read and compiled. */
#ifndef TARN_PROJECTOR_SCHEMA_INPUT_H
#define TARN_PROJECTOR_SCHEMA_INPUT_H

#include "schema/view/plan.h"

/* ERR_INPUT: it can't be read, or has mistakes; `check` names them all. */
MUST_CHECK int schema_input_load(const char *path, struct view_set **ret_views, struct err *err);

#endif
