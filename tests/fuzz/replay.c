/* libFuzzer's place when inputs are only replayed: calls the target with each file of the folders that are named. Built with
 * each fuzz target by gcc under AddressSanitizer and UBSan, so that `make test` sees what fuzzing once found.
 *
 *     fuzz_message [FOLDER...]     without a folder: the corpus of its name. Prints TAP, a line for each folder. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    struct buf bytes = BUF_INIT;
    FILE *file = fopen(path, "rb");
    size_t got;

    if (file == NULL)
        return -1;
    while ((got = fread(buf_reserve(&bytes, 65536), 1, 65536, file)) > 0)
        bytes.len += got;
    fclose(file);
    /* A copy of just that size: a read behind its end is seen. */
    uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
    if (copy == NULL)
        abort();
    if (bytes.len > 0)
        memcpy(copy, bytes.at, bytes.len);
    LLVMFuzzerTestOneInput(copy, bytes.len);
    free(copy);
    buf_release(&bytes);
    return 0;
}

static int replay_folder(int number, const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);

    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        count += replay(file) == 0;
    }
    if (folder != NULL)
        closedir(folder);
    printf("%s %d - %d inputs of %s\n", count > 0 ? "ok" : "not ok", number, count, path);
    return count > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int failures = 0;

    if (argc == 1) {
        const char *name = strstr(argv[0], "fuzz_");
        char corpus[4096];
        snprintf(corpus, sizeof(corpus), "tests/fuzz/corpus/%s", name != NULL ? name + strlen("fuzz_") : "");
        return replay_folder(1, corpus);
    }
    for (int i = 1; i < argc; i++)
        failures += replay_folder(i, argv[i]);
    return failures == 0 ? 0 : 1;
}
