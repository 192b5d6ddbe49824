/*
 * Any bytes as a grid file: an error or a grid, never a crash; and what a grid resolves to reads back as itself.
 *
 * With clang: cc -fsanitize=fuzzer,address -DKDS_LIBFUZZER ... gives a libFuzzer program. Without KDS_LIBFUZZER this is a program
 * of its own that mutates a few seeds deterministically: fuzz_grid [rounds [first seed]]; or runs files: fuzz_grid FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kdsweep/grid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_grid: %s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly this size, so that a sanitizer sees one byte too many. What follows the first 0xFF is an assignment. */
    char *bytes = malloc(size + 1);
    if (bytes == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    bytes[size] = '\0';
    char *assignment = memchr(bytes, 0xFF, size);
    const size_t n_bytes = assignment != NULL ? (size_t)(assignment - bytes) : size;
    const kds_override override = {assignment != NULL ? assignment + 1 : ""};

    kds_error err = KDS_ERROR_INIT;
    kds_text problems = {0};
    kds_grid *grid = NULL;
    const kds_status status = kds_grid_parse(bytes, n_bytes, "fuzz.cfg", &override, assignment != NULL ? 1 : 0, &grid,
                                             &problems, &err);
    if (status == KDS_OK) {
        kds_grid *again = NULL;
        insist(kds_grid_parse(grid->resolved, strlen(grid->resolved), "again.cfg", NULL, 0, &again, NULL, &err) ==
                   KDS_OK,
               "the resolved grid is rejected");
        insist(strcmp(grid->resolved, again->resolved) == 0, "the resolved grid reads back as another");
        insist(memcmp(&grid->base, &again->base, sizeof grid->base) == 0, "the resolved grid has other values");
        kds_grid_free(again);
    } else {
        insist(status == KDS_GRID || status == KDS_MEMORY, "an unexpected status");
        insist(grid == NULL && err.status == status && err.message[0] != '\0', "a failure without words");
        insist(status != KDS_GRID || problems.size > 0, "a rejection without a problem");
    }
    kds_grid_free(grid);
    kds_text_clear(&problems);
    free(bytes);
    return 0;
}

#ifndef KDS_LIBFUZZER

static const char *const seeds[] = {
    "name = \"a\"; seeds = [0, 1, 2]; data = { source = \"gaussians\"; imbalance = { ratio = [1, 10.5, 100]; }; };\n"
    "teacher = { model = \"mlp:512-256\"; objective = [\"standard\", \"robust\"]; seed = 3; };\n"
    "student = { model = \"mlp\"; temperature = [1, 2, 4.5,]; baseline = true; validation_labels = \"teacher\"; };\n"
    "train = { epochs = 30; lr = 1e-1; schedule = \"step\"; milestones = [10, 20]; }; # comment\n",
    "student.train.lr = [0.1, 0.2]; teacher.train.lr = 3; /* x */ data.source = \"idx\"; data.path = \"/a\\\"b\\x01\";\n"
    "teacher.model = \"mlp:1\"; student.model = \"mlp:2-3\"; store = { counts = true; logits = \"no\"; }; // y\n",
    "seeds = (0x10, 3000000000L, -1); data : { source = \"hdf5\", path = \"x\" \"y\" } teacher.model = \"mlp\" student.model = "
    "\"mlp\"",
};

static const char *const pieces[] = {
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "=",
    ";",
    ",",
    "\"",
    "\\",
    "//",
    "/*",
    "*/",
    "#",
    "\n",
    "\r",
    "-1",
    "1e999",
    "0x",
    "99999999999",
    "true",
    "@include",
    "nan",
    "1.",
    ".5",
    "\xFF",
    "\xC3",
    "*",
    "seeds",
    "student",
    "teacher.",
    "train.lr",
    "data = {",
    "'",
    "= [1, ",
    "\"mlp:64\"",
    "\t",
    "L",
    "0.1e",
    ":",
    ".",
    "student.mixing=[0,",
    "\x01",
    "\\x4",
    "student",
    "[[",
    "()",
    "{}",
};

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

enum { MAX_INPUT = 4096 };

static size_t below(uint64_t *random, size_t n)
{
    return (size_t)(next_random(random) % n);
}

static void splice(char *text, size_t *n, size_t at, size_t n_cut, const char *put, size_t n_put)
{
    if (*n - n_cut + n_put <= MAX_INPUT) {
        char tail[MAX_INPUT];
        const size_t n_tail = *n - at - n_cut;
        memcpy(tail, text + at + n_cut, n_tail);
        memmove(text + at, put, n_put);
        memcpy(text + at + n_put, tail, n_tail);
        *n = *n - n_cut + n_put;
    }
}

static void mutate(char *text, size_t *n, uint64_t *random)
{
    const size_t at = below(random, *n + 1);
    const size_t rest = *n - at;
    switch (next_random(random) % 5) {
    case 0: /* a byte changes */
        if (rest > 0) {
            text[at] = (char)next_random(random);
        }
        break;
    case 1: /* a stretch goes */
        splice(text, n, at, rest > 0 ? below(random, rest < 20 ? rest : 20) : 0, "", 0);
        break;
    case 2: /* a stretch is said twice */
        if (rest > 0) {
            char copy[64];
            const size_t n_copy = 1 + below(random, rest < sizeof copy ? rest : sizeof copy);
            memcpy(copy, text + at, n_copy < rest ? n_copy : rest);
            splice(text, n, at, 0, copy, n_copy < rest ? n_copy : rest);
        }
        break;
    default: { /* a piece of syntax comes in, or takes a place */
        const char *piece = pieces[below(random, sizeof pieces / sizeof pieces[0])];
        splice(text, n, at, next_random(random) % 2 == 0 || rest == 0 ? 0 : 1, piece, strlen(piece));
        break;
    }
    }
}

static int run_file(const char *path)
{
    kds_error err = KDS_ERROR_INIT;
    char *bytes = NULL;
    size_t n_bytes = 0;
    if (kds_file_read(path, &bytes, &n_bytes, &err) != KDS_OK) {
        fprintf(stderr, "fuzz_grid: %s\n", err.message);
        return 1;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)bytes, n_bytes);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long n_rounds = 20000;
    uint64_t first = 1;
    if (argc > 1) {
        n_rounds = strtol(argv[1], &end, 10);
        if (*end != '\0') {
            int n_failed = 0;
            for (int i = 1; i < argc; i++) {
                n_failed += run_file(argv[i]);
            }
            return n_failed != 0;
        }
    }
    if (argc > 2) {
        first = strtoull(argv[2], NULL, 10);
    }
    for (long i = 0; i < n_rounds; i++) {
        uint64_t random = (first + (uint64_t)i) * 0x9E3779B97F4A7C15u + 1;
        char text[MAX_INPUT];
        const char *seed = seeds[below(&random, sizeof seeds / sizeof seeds[0])];
        size_t n = strlen(seed);
        memcpy(text, seed, n);
        for (size_t n_left = below(&random, 12); n_left > 0; n_left--) {
            mutate(text, &n, &random);
        }
        LLVMFuzzerTestOneInput((const uint8_t *)text, n);
    }
    printf("fuzz_grid: %ld inputs, no crash\n", n_rounds);
    return 0;
}

#endif
