/* schema/store/control_files.h - the files in DIR/control/{requests,taken,outcomes}, as both sides of control.h write and
 * read them: ID.json, an object with a version. */
#ifndef TARN_STORE_CONTROL_FILES_H
#define TARN_STORE_CONTROL_FILES_H

#include <jansson.h>

#include "schema/store/control.h"

enum { CONTROL_VERSION = 1 };

/* DIR/control/NAME; the caller's to free(). */
char *control_subfolder(const char *directory, const char *name);
MUST_CHECK int control_make_subfolders(const char *directory, struct err *err);

MUST_CHECK int control_write(const char *folder, const char *id, json_t *content, struct err *err);
/* ERR_ABSENT: no such file. ERR_INPUT: not an object of this version. */
MUST_CHECK int control_read(const char *folder, const char *id, json_t **ret_content, struct err *err);
/* ERR_ABSENT: no such file. */
MUST_CHECK int control_remove(const char *folder, const char *id, struct err *err);
bool control_is_there(const char *folder, const char *id);

/* Cuts ".json" off; false for a file that isn't ours. */
bool control_id_of_name(char *name);

#endif
