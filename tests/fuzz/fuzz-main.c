/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target on files, and on all files of directories, that are given as arguments; with
 * none, fuzz-frame runs tests/fuzz/corpus-frame. So the corpus runs with the other tests and with
 * any compiler. Prints TAP; a finding aborts, as it does under libFuzzer.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST_INPUT = 1 << 20 };

static unsigned count;

static void die(const char *path)
{
    (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(EXIT_FAILURE);
}

static void run_file(const char *path)
{
    static uint8_t input[LARGEST_INPUT];
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path);
    const size_t size = fread(input, 1, sizeof input, file);
    if (ferror(file))
        die(path);
    (void)fclose(file);

    /* Of the exact size, so that a sanitizer sees a read beyond its end. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (!copy)
        die(path);
    memcpy(copy, input, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    printf("ok %u %s\n", ++count, path);
    (void)fflush(stdout); /* so that the last line shows the way if the next input aborts */
}

static void run_directory(const char *path)
{
    struct dirent **entries;
    const int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        die(path);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            char name[4096];
            const int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
            if (length < 0 || (size_t)length >= sizeof name) {
                errno = ENAMETOOLONG;
                die(path);
            }
            run_file(name);
        }
        free(entries[i]);
    }
    free(entries);
}

static void run(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        die(path);
    if (S_ISDIR(status.st_mode))
        run_directory(path);
    else
        run_file(path);
}

/** The corpus that goes with a program called fuzz-NAME. */
static void run_own_corpus(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    const char *dash = strchr(name, '-');
    char path[256];
    const int length = snprintf(path, sizeof path, "tests/fuzz/corpus%s", dash ? dash : "");
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        die(program);
    }
    run(path);
}

int main(int argc, char **argv)
{
    if (argc <= 1)
        run_own_corpus(argv[0]);
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    printf("1..%u\n", count);
    /* An empty corpus is a wrong path, not a success. */
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
