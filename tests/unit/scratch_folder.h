/* tests/unit/scratch_folder.h - a folder of a test's own, gone with the test. */
#ifndef TARN_TEST_SCRATCH_FOLDER_H
#define TARN_TEST_SCRATCH_FOLDER_H

/* Makes one under $TMPDIR or /tmp. Fails the test when it can't. */
char *scratch_folder_make(void);

/* Removes it with all that is in it, frees the path and sets it to NULL. */
void scratch_folder_remove(char **path);

#endif
