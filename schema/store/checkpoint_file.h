/* schema/store/checkpoint_file.h - FOLDER/checkpoint: two slots that are written in turn, so that one is whole whenever the
 * other is being written. For checkpoint*.c alone.
 *
 *     slot   magic (8), sequence (8), bytes of the pages (8), XXH3 of the rest of the record (8), boot id (64), the pages;
 *            as large as half of the file
 *
 * Numbers as the machine has them, as in LMDB's own files. The slot with the larger sequence counts. */
#ifndef TARN_STORE_CHECKPOINT_FILE_H
#define TARN_STORE_CHECKPOINT_FILE_H

#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/store/store.h"

struct checkpoint_record {
    uint64_t sequence;
    char boot_id[STORE_BOOT_ID_SIZE]; /* empty: of no boot; beyond what the record is of, the disk isn't to be trusted */
    struct span pages;                /* LMDB's two meta pages, as they stood */
};

/* The file with this record, which is on the disk then; *ret_fd is for checkpoint_file_put(). On failure there is none,
 * unless the text says so. */
MUST_CHECK int checkpoint_file_make(const char *folder, const struct checkpoint_record *record, int *ret_fd,
                                    struct err *err);

/* Writes the record over the older one, without a sync: 0 or an errno. One with another sequence stays whole. */
MUST_CHECK int checkpoint_file_put(int fd, const struct checkpoint_record *record);

/* The newest record, whose pages point into *bytes, which are emptied first. ERR_ABSENT: there is no file (err has no
 * text). ERR_BROKEN: neither is whole. */
MUST_CHECK int checkpoint_file_read(const char *folder, struct buf *bytes, struct checkpoint_record *ret_record,
                                    struct err *err);

/* The disk has failed, which the kernel tells once: from now on the record is of no boot. As far as the disk still takes
 * it. */
void checkpoint_file_spoil(int fd, struct checkpoint_record record);

/* Absent already: 0. */
MUST_CHECK int checkpoint_file_remove(const char *folder, struct err *err);

#endif
