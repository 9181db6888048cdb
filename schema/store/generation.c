/* Crash order of generation_make(): the ordinal is noted as used, the folder is made whole under a dotted name, then
 * renamed. A crash in between leaves an ordinal unused and a dotted folder, which the next one clears away; nothing
 * that counts is ever half there. */
#include "schema/store/generation.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"

#define FORMAT_TEXT "tarn-store 1\n"

enum {
    SMALL_FILE_MAX = 1 << 20,
    SCHEMA_BYTES_MAX = 64 << 20,
    ORDINALS_BYTES_MAX = 16 << 20,
    HASH_DIGITS = 6,
};

/* --- the directory --- */

int store_directory_check(const char *directory, struct err *err)
{
    struct buf text = BUF_INIT;

    int rc = durable_read(directory, "format", SMALL_FILE_MAX, &text, err);
    if (rc == 0 && !span_equal_text(buf_span(&text), FORMAT_TEXT))
        rc = err_set(err, ERR_INPUT,
                     "%s is a store of another version (its file `format` doesn't say \"%.*s\"): use the program "
                     "that made it",
                     directory, (int)strlen(FORMAT_TEXT) - 1, FORMAT_TEXT);
    buf_release(&text);
    return rc;
}

/* Nothing there but what a new disk or our own crash leaves behind. */
static int check_empty(const char *directory, struct err *err)
{
    static const char *const ignored[] = {".", "..", "lost+found", ".format.tmp"};
    DIR *stream = opendir(directory);
    int rc = 0;

    if (stream == NULL)
        return err_set_errno(err, errno == ENOTDIR ? ERR_INPUT : ERR_BROKEN, errno, "%s: can't open", directory);
    for (struct dirent *entry; rc == 0 && (entry = readdir(stream)) != NULL;) {
        size_t i = 0;
        while (i < ARRAY_COUNT(ignored) && strcmp(entry->d_name, ignored[i]) != 0)
            i++;
        if (i == ARRAY_COUNT(ignored))
            rc = err_set(err, ERR_INPUT, "%s is not a store and not empty: name another directory", directory);
    }
    closedir(stream);
    return rc;
}

static int take_over(const char *directory, struct err *err)
{
    int rc = check_empty(directory, err);
    if (rc < 0)
        return rc;
    /* A volume's root may belong to somebody else; what we make in it is 0700 all the same. */
    if (chmod(directory, 0700) != 0 && errno != EPERM)
        return err_set_errno(err, ERR_BROKEN, errno, "%s: can't set its mode", directory);
    return durable_write(directory, "format", SPAN_LITERAL(FORMAT_TEXT), err);
}

int store_directory_prepare(const char *directory, struct err *err)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, ERR_INPUT, errno, "%s: can't make the store's directory", directory);

    int rc = store_directory_check(directory, err);
    if (rc == ERR_ABSENT)
        rc = take_over(directory, err);
    if (rc == 0)
        rc = durable_make_folder(directory, "generations", err);
    if (rc == 0)
        rc = durable_make_folder(directory, "control", err);
    return rc;
}

/* --- names --- */

bool generation_is_name(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdef");
    size_t length = strlen(text);

    if (digits != HASH_DIGITS || text[digits] != '-' || text[digits + 1] == '0' || length >= GENERATION_NAME_MAX)
        return false;
    size_t ordinal_digits = strspn(text + digits + 1, "0123456789");
    return ordinal_digits > 0 && ordinal_digits <= 9 && digits + 1 + ordinal_digits == length;
}

/* Of the two files as they are: whoever changes one by hand makes a folder that doesn't match its name. */
static void name_hash(struct span schema, struct span settings, char ret_hash[HASH_DIGITS + 1])
{
    struct hash128 hash = hash128_pair(schema, settings);

    snprintf(ret_hash, HASH_DIGITS + 1, "%06" PRIx64, hash.high >> (64 - 4 * HASH_DIGITS));
}

static unsigned long ordinal_of(const char *name)
{
    return strtoul(name + HASH_DIGITS + 1, NULL, 10);
}

/* DIR/control/ordinals: `HASH ORDINAL` lines, the highest ordinal used with each hash. Generations that were dropped
 * are in it. */
static unsigned long highest_noted(const char *ordinals, const char *hash)
{
    unsigned long highest = 0;

    for (const char *line = ordinals; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, hash, HASH_DIGITS) == 0 && line[HASH_DIGITS] == ' ') {
            unsigned long noted = strtoul(line + HASH_DIGITS + 1, NULL, 10);
            highest = noted > highest ? noted : highest;
        }
    }
    return highest;
}

static void note_ordinal(const char *ordinals, const char *hash, unsigned long ordinal, struct buf *out)
{
    for (const char *line = ordinals; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (strncmp(line, hash, HASH_DIGITS) != 0) {
            buf_add(out, line, length);
            buf_add_byte(out, '\n');
        }
        line += length;
        line += *line == '\n';
    }
    buf_add_format(out, "%s %lu\n", hash, ordinal);
}

/* Finds the first ordinal that was never used with the hash, and notes it as used. */
static int take_ordinal(const char *directory, const char *hash, unsigned long *ret_ordinal, struct err *err)
{
    char *control = mem_format("%s/control", directory);
    struct buf ordinals = BUF_INIT;
    struct buf updated = BUF_INIT;
    char **names = NULL;
    size_t name_count = 0;
    unsigned long highest = 0;

    int rc = durable_read(control, "ordinals", ORDINALS_BYTES_MAX, &ordinals, err);
    if (rc == 0 || rc == ERR_ABSENT)
        rc = generation_list(directory, &names, &name_count, err);
    if (rc == 0) {
        highest = highest_noted(buf_text(&ordinals), hash);
        for (size_t i = 0; i < name_count; i++) {
            if (strncmp(names[i], hash, HASH_DIGITS) == 0 && ordinal_of(names[i]) > highest)
                highest = ordinal_of(names[i]);
        }
        note_ordinal(buf_text(&ordinals), hash, highest + 1, &updated);
        rc = durable_write(control, "ordinals", buf_span(&updated), err);
    }
    if (rc == 0)
        *ret_ordinal = highest + 1;
    durable_free_names(names, name_count);
    buf_release(&updated);
    buf_release(&ordinals);
    free(control);
    return rc;
}

/* --- generations --- */

void generation_close(struct generation **generation)
{
    if (*generation == NULL)
        return;
    free((*generation)->folder);
    buf_release(&(*generation)->schema);
    generation_settings_release(&(*generation)->settings);
    free(*generation);
    *generation = NULL;
}

/* Clears away what a crash left of a generation that was being made: a folder of files. */
static int remove_folder(const char *folder, struct err *err)
{
    DIR *stream = opendir(folder);

    if (stream == NULL && errno == ENOENT)
        return 0;
    if (stream == NULL)
        return err_set_errno(err, ERR_BROKEN, errno, "%s: can't open", folder);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(stream), entry->d_name, 0);
    }
    closedir(stream);
    return rmdir(folder) == 0 ? 0 : err_set_errno(err, ERR_BROKEN, errno, "%s: can't remove", folder);
}

/* The folder of a generation in the making: one at a time, as there is one writer. */
#define MAKING ".making"
#define TRASH  ".trash-"

static int make_folder(const char *generations, const char *name, struct span schema, struct span settings,
                       const struct generation_preparation *preparation, struct err *err)
{
    char *making = mem_format("%s/" MAKING, generations);
    char *made = mem_format("%s/%s", generations, name);

    int rc = remove_folder(making, err);
    if (rc == 0)
        rc = durable_make_folder(generations, MAKING, err);
    if (rc == 0)
        rc = durable_write(making, "schema.binpb", schema, err);
    if (rc == 0)
        rc = durable_write(making, "generation.conf", settings, err);
    if (rc == 0 && preparation != NULL)
        rc = preparation->prepare(preparation->self, making, err);
    if (rc == 0 && rename(making, made) != 0)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s: can't rename to %s", making, made);
    if (rc == 0)
        rc = durable_sync_folder(generations, err);
    free(made);
    free(making);
    return rc;
}

int generation_make(const char *directory, struct span schema, const struct generation_settings *settings,
                    struct generation **ret_generation, struct err *err)
{
    return generation_make_prepared(directory, schema, settings, NULL, ret_generation, err);
}

int generation_make_prepared(const char *directory, struct span schema, const struct generation_settings *settings,
                             const struct generation_preparation *preparation, struct generation **ret_generation,
                             struct err *err)
{
    struct buf text = BUF_INIT;
    char *generations = mem_format("%s/generations", directory);
    char hash[HASH_DIGITS + 1];
    char name[GENERATION_NAME_MAX];
    unsigned long ordinal = 0;

    generation_settings_write(settings, &text);
    name_hash(schema, buf_span(&text), hash);
    int rc = take_ordinal(directory, hash, &ordinal, err);
    snprintf(name, sizeof(name), "%s-%lu", hash, ordinal);
    if (rc == 0)
        rc = make_folder(generations, name, schema, buf_span(&text), preparation, err);
    free(generations);
    buf_release(&text);
    return rc < 0 ? err_prefix(err, "making a generation") : generation_open(directory, name, ret_generation, err);
}

char *generation_folder(const char *directory, const char *name)
{
    return mem_format("%s/generations/%s", directory, name);
}

int generation_drop(const char *directory, const char *name, struct err *err)
{
    char *generations = mem_format("%s/generations", directory);
    char *folder = generation_folder(directory, name);
    char *trash = mem_format("%s/" TRASH "%s", generations, name);
    int rc = 0;

    if (!generation_is_name(name))
        rc = err_set(err, ERR_ABSENT, "\"%s\" is not the name of a generation", name);
    else if (rename(folder, trash) != 0 && errno != ENOENT)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s: can't rename to %s", folder, trash);
    if (rc == 0)
        rc = durable_sync_folder(generations, err);
    if (rc == 0)
        rc = remove_folder(trash, err);
    free(trash);
    free(folder);
    free(generations);
    return rc;
}

int generation_clear_trash(const char *directory, struct err *err)
{
    char *generations = mem_format("%s/generations", directory);
    DIR *stream = opendir(generations);
    int rc = 0;

    if (stream == NULL && errno != ENOENT)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s: can't open", generations);
    for (struct dirent *entry; stream != NULL && rc == 0 && (entry = readdir(stream)) != NULL;) {
        if (strncmp(entry->d_name, TRASH, strlen(TRASH)) != 0)
            continue;
        char *trash = mem_format("%s/%s", generations, entry->d_name);
        rc = remove_folder(trash, err);
        free(trash);
    }
    if (stream != NULL)
        closedir(stream);
    free(generations);
    return rc;
}

static int read_generation(struct generation *generation, struct err *err)
{
    struct buf text = BUF_INIT;
    char hash[HASH_DIGITS + 1];

    int rc = durable_read(generation->folder, "schema.binpb", SCHEMA_BYTES_MAX, &generation->schema, err);
    if (rc == 0)
        rc = durable_read(generation->folder, "generation.conf", SMALL_FILE_MAX, &text, err);
    if (rc == 0) {
        rc = generation_settings_read(buf_span(&text), &generation->settings, err);
        if (rc < 0)
            err_prefix(err, "%s/generation.conf", generation->folder);
    }
    if (rc == 0) {
        name_hash(buf_span(&generation->schema), buf_span(&text), hash);
        if (strncmp(generation->name, hash, HASH_DIGITS) != 0)
            rc = err_set(err, ERR_BROKEN,
                         "%s: schema.binpb or generation.conf was changed after the generation was made; changing "
                         "them is a rebuild",
                         generation->folder);
    }
    buf_release(&text);
    return rc;
}

int generation_open(const char *directory, const char *name, struct generation **ret_generation, struct err *err)
{
    if (!generation_is_name(name))
        return err_set(err, ERR_ABSENT, "\"%s\" is not the name of a generation", name);

    struct generation *generation = mem_zero(1, sizeof(*generation));
    snprintf(generation->name, sizeof(generation->name), "%s", name);
    generation->folder = generation_folder(directory, name);
    int rc = read_generation(generation, err);
    if (rc == ERR_ABSENT)
        err_set(err, ERR_ABSENT, "there is no generation %s in %s", name, directory);
    if (rc < 0) {
        generation_close(&generation);
        return rc;
    }
    *ret_generation = generation;
    return 0;
}

int generation_list(const char *directory, char ***ret_names, size_t *ret_count, struct err *err)
{
    char *generations = mem_format("%s/generations", directory);
    char **names = NULL;
    size_t count = 0;
    size_t kept = 0;

    int rc = durable_list(generations, &names, &count, err);
    free(generations);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    for (size_t i = 0; i < count; i++) {
        if (generation_is_name(names[i]))
            names[kept++] = names[i];
        else
            free(names[i]);
    }
    *ret_names = names;
    *ret_count = kept;
    return 0;
}
