#define _GNU_SOURCE /* argp */
#include "options.h"

#include <argp.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kdsweep/kernels.h"
#include "kdsweep/text.h"
#include "launch.h"

static const char doc[] = "Sweep over knowledge-distillation trainings: one grid file in, one HDF5 file out."
                          "\v"
                          "Commands:\n"
                          "  kdsweep GRID.cfg             run the sweep, or go on with it: on all ranks\n"
                          "                               under mpirun, alone in one process\n"
                          "  kdsweep plan GRID.cfg        expand and explain; trains and writes nothing\n"
                          "  kdsweep expand GRID.cfg      one line of JSON per trial, in order\n"
                          "  kdsweep sheet GRID.cfg       a picture of training examples, class by class\n"
                          "  kdsweep status RESULTS.h5    progress, ETA, failures; safe on a live file\n"
                          "  kdsweep verify RESULTS.h5    train finished trials again, compare all bits\n"
                          "  kdsweep keys                 every key of the grid file with its default\n"
                          "\n"
                          "Exit codes: 0 all trials done; 1 wrong use; 2 grid rejected; 3 input or output\n"
                          "failed; 4 finished, or ended by --stop-after, and some trials failed or\n"
                          "diverged; 5 a bug or out of memory; 75 stopped at the time limit or by a\n"
                          "signal, or rows left out by --only: run the same command to go on.\n"
                          "\n"
                          "Example:  mpirun -np 64 kdsweep grid.cfg --max-time 3:50:00\n";

static const char args_doc[] = "GRID.cfg\n{plan|expand|sheet} GRID.cfg\n{status|verify} RESULTS.h5\nkeys";

enum {
    OPT_SET = 256,
    OPT_MAX_TIME,
    OPT_ONLY,
    OPT_STOP_AFTER,
    OPT_OVERWRITE,
    OPT_WRITER,
    OPT_PROGRESS,
    OPT_RANKS,
    OPT_MARKDOWN
};

static const struct argp_option option_table[] = {
    {NULL, 0, NULL, 0, "The sweep:", 1},
    {"output", 'o', "FILE", 0,
     "results file (default: the grid's `output'); sheet: the picture (default: " KDS_SHEET_FILE ")", 1},
    {"set", OPT_SET, "KEY=VALUE", 0,
     "set a key of the grid; a list makes an axis: --set student.temperature=[1,2,4]; repeatable", 1},
    {"overwrite", OPT_OVERWRITE, NULL, 0, "start over: an existing results file is replaced", 1},
    {"only", OPT_ONLY, "STATES", 0, "train again only rows that are failed, diverged or missing (comma-separated)", 1},
    {NULL, 0, NULL, 0, "Stopping:", 2},
    {"max-time", OPT_MAX_TIME, "[[H:]M:]S", 0, "stop in time, keep all finished trials, exit with 75", 2},
    {"stop-after", OPT_STOP_AFTER, "N", 0,
     "stop when N trials have failed or diverged (not counting the students of such teachers)", 2},
    {NULL, 0, NULL, 0, "How it runs:", 3},
    {"writer", OPT_WRITER, "WHO", 0,
     "who writes rows: all (every rank its own), root (rank 0 for all; for NFS) or auto (default): all, where HDF5 is parallel",
     3},
    {"progress", OPT_PROGRESS, "MODE", 0, "auto (default), bar, plain or none", 3},
    {"verbose", 'v', NULL, 0, "say more", 3},
    {"quiet", 'q', NULL, 0, "say only what went wrong", 3},
    {NULL, 0, NULL, 0, "Of single commands:", 4},
    {"ranks", OPT_RANKS, "N", 0, "plan: predict for N ranks (default: 1, 4, 16 ... 1024)", 4},
    {"count", 'k', "N", 0, "verify: how many trials to train again (default 3)", 4},
    {"markdown", OPT_MARKDOWN, NULL, 0, "keys: as a Markdown table", 4},
    {0},
};

typedef struct parse_state {
    kds_options *options;
    int n_words;
    bool failed;
} parse_state;

/* Tell, and leave with exit code 1; on ranks that argp keeps silent, only remember. */
__attribute__((format(printf, 2, 3))) static void usage_error(const struct argp_state *state, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    ((parse_state *)state->input)->failed = true;
    argp_error(state, "%s", message);
}

/* "90", "1:30", "2:00:00" -> seconds. */
static bool parse_duration(const char *text, double *seconds)
{
    double total = 0;
    int n_parts = 0;
    const char *at = text;
    for (;;) {
        char *end;
        double part = strtod(at, &end);
        if (end == at || !(part >= 0) || !isfinite(part) || ++n_parts > 3) {
            return false;
        }
        total = total * 60 + part;
        if (*end == '\0') {
            *seconds = total;
            return total > 0;
        }
        if (*end != ':') {
            return false;
        }
        at = end + 1;
    }
}

static int parse_count(const struct argp_state *state, const char *option, const char *text, int minimum)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < minimum || n > 1000000000L) {
        usage_error(state, "--%s: \"%s\" is not a whole number of at least %d", option, text, minimum);
    }
    return (int)n;
}

static int parse_word(const struct argp_state *state, const char *option, const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            return i;
        }
    }
    kds_text allowed = {0};
    for (int i = 0; words[i]; i++) {
        kds_text_addf(&allowed, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    usage_error(state, "--%s: \"%s\" is not one of: %s", option, text, kds_text_string(&allowed));
    kds_text_clear(&allowed);
    return 0;
}

static void parse_only(const struct argp_state *state, const char *text, kds_options *options)
{
    static const char *const words[] = {"missing", "done", "diverged", "failed", NULL};
    char copy[64];
    if (strlen(text) >= sizeof copy) {
        usage_error(state, "--only: \"%s\" is not a list of: missing, diverged, failed", text);
        return;
    }
    memcpy(copy, text, strlen(text) + 1);
    for (char *rest = copy, *word; (word = strsep(&rest, ",")) != NULL;) {
        int i = parse_word(state, "only", word, words);
        if (i == KDS_TRIAL_DONE) {
            usage_error(state, "--only: finished trials are never trained again; to start over use --overwrite");
        }
        options->only[i] = true;
    }
}

static void parse_positional(const struct argp_state *state, parse_state *parsing, char *word)
{
    static const struct {
        const char *word;
        kds_command_name command;
    } commands[] = {{"plan", KDS_CMD_PLAN},     {"expand", KDS_CMD_EXPAND}, {"sheet", KDS_CMD_SHEET},
                    {"status", KDS_CMD_STATUS}, {"verify", KDS_CMD_VERIFY}, {"keys", KDS_CMD_KEYS}};
    if (parsing->n_words++ == 0) {
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
            if (strcmp(word, commands[i].word) == 0) {
                parsing->options->command = commands[i].command;
                return;
            }
        }
    }
    if (parsing->options->file && access(parsing->options->file, F_OK) != 0) {
        usage_error(
            state,
            "unknown command \"%s\"; to run a grid: kdsweep %s; commands: plan, expand, sheet, status, verify, keys; a "
            "report: "
            "kdsweep-analysis report RESULTS.h5",
            parsing->options->file, word);
    }
    if (parsing->options->file) {
        usage_error(state,
                    "one file at a time: \"%s\" and \"%s\" (a list with blanks wants quotes: --set 'key=[1, 4]')",
                    parsing->options->file, word);
    }
    parsing->options->file = word;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    static const char *const writers[] = {"auto", "all", "root", NULL};
    static const char *const modes[] = {"auto", "bar", "plain", "none", NULL};
    parse_state *parsing = state->input;
    kds_options *options = parsing->options;
    switch (key) {
    case 'o':
        options->output = arg;
        break;
    case 'v':
        options->level = KDS_LOG_VERBOSE;
        break;
    case 'q':
        options->level = KDS_LOG_QUIET;
        break;
    case 'k':
        options->n_verify = parse_count(state, "count", arg, 1);
        break;
    case OPT_SET:
        if (!strchr(arg, '=')) {
            usage_error(state, "--set: \"%s\" is not KEY=VALUE", arg);
        }
        if (options->n_overrides == KDS_MAX_OVERRIDES) {
            usage_error(state, "--set: at most %d of them; write a grid file", KDS_MAX_OVERRIDES);
            break;
        }
        options->overrides[options->n_overrides++].assignment = arg;
        break;
    case OPT_MAX_TIME:
        if (!parse_duration(arg, &options->max_time)) {
            usage_error(state,
                        "--max-time: \"%s\" is not a time; allowed: seconds, minutes:seconds or hours:minutes:seconds",
                        arg);
        }
        break;
    case OPT_ONLY:
        parse_only(state, arg, options);
        break;
    case OPT_STOP_AFTER:
        options->stop_after = parse_count(state, "stop-after", arg, 1);
        break;
    case OPT_OVERWRITE:
        options->overwrite = true;
        break;
    case OPT_WRITER:
        options->writer = (kds_writer)parse_word(state, "writer", arg, writers);
        break;
    case OPT_PROGRESS:
        options->progress = (kds_progress_mode)parse_word(state, "progress", arg, modes);
        break;
    case OPT_RANKS:
        options->n_ranks = parse_count(state, "ranks", arg, 1);
        break;
    case OPT_MARKDOWN:
        options->markdown = true;
        break;
    case ARGP_KEY_ARG:
        parse_positional(state, parsing, arg);
        break;
    case ARGP_KEY_END:
        if (!options->file && options->command != KDS_CMD_KEYS) {
            bool reads_results = options->command == KDS_CMD_STATUS || options->command == KDS_CMD_VERIFY;
            usage_error(state, "which %s?", reads_results ? "results file" : "grid file");
        }
        if ((options->file && strlen(options->file) >= KDS_PATH_CHARS) ||
            (options->output && strlen(options->output) >= KDS_PATH_CHARS)) {
            usage_error(state, "a path is longer than %d bytes", KDS_PATH_CHARS - 1);
        }
        if (options->file && options->command == KDS_CMD_KEYS) {
            usage_error(state, "keys takes no file");
        }
        if (options->overwrite && (options->only[KDS_TRIAL_FAILED] || options->only[KDS_TRIAL_DIVERGED] ||
                                   options->only[KDS_TRIAL_MISSING])) {
            usage_error(state, "--overwrite and --only contradict each other");
        }
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    kds_kernels kernels;
    kds_error err = KDS_ERROR_INIT;
    const char *isa = kds_kernels_select(&kernels, &err) == KDS_OK ? kds_isa_name(kernels.isa) : err.message;
    fprintf(stream, "kdsweep %s\nMPI      %s\nHDF5     %s\nBLAS     %s (%s)\nISA      %s\n", KDSWEEP_VERSION,
            kds_launch_library(), kds_store_library(), kds_blas_version(), kds_blas_core(), isa);
    kds_error_clear(&err);
    if (kds_blas_check_core(&err) != KDS_OK) {
        enum { COLUMN = 9 };
        kds_text mind = {0}, wrapped = {0};
        kds_text_addf(&mind, "%s (only KDSWEEP_ISA=scalar uses it): %s", err.message, err.hint);
        kds_text_add_wrapped(&wrapped, kds_text_string(&mind), COLUMN, COLUMN);
        fprintf(stream, "%-*s%s", COLUMN, "mind", kds_text_string(&wrapped));
        kds_text_clear(&wrapped);
        kds_text_clear(&mind);
    }
}

void kds_options_parse(int argc, char **argv, int rank, kds_options *out)
{
    *out = (kds_options){.level = KDS_LOG_NORMAL, .n_verify = 3};
    parse_state parsing = {.options = out};
    const struct argp argp = {.options = option_table, .parser = parse_option, .args_doc = args_doc, .doc = doc};
    argp_program_version_hook = print_version;
    argp_err_exit_status = kds_status_exit_code(KDS_USAGE);
    /* Every rank reads the same command line, so every rank leaves; rank 0 says why. */
    if (argp_parse(&argp, argc, argv, rank == 0 ? 0 : ARGP_SILENT, NULL, &parsing) != 0 || parsing.failed) {
        exit(rank == 0 ? kds_status_exit_code(KDS_USAGE) : 0);
    }
}
