/*
 * A core of OpenBLAS that does not fit the processor is noticed. OpenBLAS reads OPENBLAS_CORETYPE once, when it is loaded: the test starts
 * itself again with a core forced on it, and there takes the variable away before it asks, as if OpenBLAS had chosen that by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "kernel_case.h"

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *core, *avx2, *avx512; /* what is better where there is AVX2, AVX-512 */
    } table[] = {
        {"Prescott", "Haswell", "SkylakeX"},
        {"prescott", "Haswell", "SkylakeX"},
        {"Core2", "Haswell", "SkylakeX"},
        {"Nehalem", "Haswell", "SkylakeX"},
        {"Barcelona", "Haswell", "SkylakeX"},
        {"Atom", "Haswell", "SkylakeX"},
        {"Generic", "Haswell", "SkylakeX"},
        {"Unknown", "Haswell", "SkylakeX"},
        {"Sandybridge", "Haswell", "SkylakeX"},
        {"Piledriver", "Haswell", "SkylakeX"},
        {"Excavator", NULL, "SkylakeX"},
        {"Haswell", NULL, "SkylakeX"},
        {"Zen", NULL, "SkylakeX"},
        {"SkylakeX", NULL, NULL},
        {"Cooperlake", NULL, NULL},
        {"SapphireRapids", NULL, NULL},
        {"armv8", NULL, NULL},
        {"a core of the future", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *const wanted[KDS_N_ISAS] = {[KDS_ISA_AVX2] = table[i].avx2, [KDS_ISA_AVX512] = table[i].avx512};
        for (int isa = 0; isa <= KDS_N_ISAS; isa++) { /* the last is none */
            const char *better = kds_blas_better_core(table[i].core, (kds_isa)isa);
            if (isa < KDS_N_ISAS && wanted[isa]) {
                assert_non_null(better);
                assert_string_equal(better, wanted[isa]);
            } else {
                assert_null(better);
            }
        }
    }
}

/* A suggestion is one that we would be content with. */
static void content(void **state)
{
    (void)state;
    for (int isa = 0; isa < KDS_N_ISAS; isa++) {
        const char *better = kds_blas_better_core("Prescott", (kds_isa)isa);
        assert_true(!better || !kds_blas_better_core(better, (kds_isa)isa));
    }
}

/* ---- this test again, with a core forced on OpenBLAS ----------------------------------------------------------------- */

static const char *program;

enum { AS_IT_SHOULD_BE = 0, OTHERWISE = 1, NO_SUCH_CORE = 2 };

/* `how`: "kept" leaves OPENBLAS_CORETYPE as it is, "hidden" takes it away, anything else puts that into its place. */
static int in_child(const char *how)
{
    const char *core = getenv("OPENBLAS_CORETYPE");
    if (!core || strcmp(core, kds_blas_core()) != 0) {
        return NO_SUCH_CORE;
    }
    kds_kernels k;
    bool has_avx2 = kds_kernels_level(KDS_ISA_AVX2, &k, NULL) == KDS_OK;
    if (strcmp(how, "hidden") == 0) {
        unsetenv("OPENBLAS_CORETYPE");
    } else if (strcmp(how, "kept") != 0) {
        setenv("OPENBLAS_CORETYPE", how, 1);
    }
    kds_error err = KDS_ERROR_INIT;
    kds_status status = kds_blas_check_core(&err);
    printf("           %s, %s: %s: %s\n", kds_blas_core(), how, err.message, err.hint);
    if (strcmp(how, "kept") == 0 || !has_avx2) {
        return status == KDS_OK ? AS_IT_SHOULD_BE : OTHERWISE;
    }
    return status == KDS_UNSUPPORTED && strstr(err.message, "Prescott") &&
                   strstr(err.hint, strcmp(how, "hidden") == 0 ? "OPENBLAS_CORETYPE=" : "OPENBLAS_CORETYPE")
               ? AS_IT_SHOULD_BE
               : OTHERWISE;
}

static void forced(void **state)
{
    (void)state;
#if !defined(__x86_64__)
    print_message("           only OpenBLAS for x86-64 has old cores\n");
    skip();
#endif
    kds_kernels k;
    bool avx512 = kds_kernels_level(KDS_ISA_AVX512, &k, NULL) == KDS_OK;
    /* The last two: asked for something that this OpenBLAS does not have, the best and any. */
    const char *const ways[] = {"kept", "hidden", avx512 ? "SkylakeX" : "Haswell", "Bogus"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char command[1024];
        snprintf(command, sizeof command, "OPENBLAS_CORETYPE=Prescott '%s' %s", program, ways[i]);
        fflush(stdout);
        int code = system(command); /* NOLINT: a path of our own build */
        assert_true(WIFEXITED(code));
        if (WEXITSTATUS(code) == NO_SUCH_CORE) {
            print_message("           this OpenBLAS has no core Prescott to choose\n");
            skip();
        }
        assert_int_equal(WEXITSTATUS(code), AS_IT_SHOULD_BE);
    }
}

/* What OpenBLAS chose here, good or not: silence or its name. */
static void here(void **state)
{
    (void)state;
    kds_error err = KDS_ERROR_INIT;
    unsetenv("OPENBLAS_CORETYPE");
    if (kds_blas_check_core(&err) == KDS_OK) {
        assert_string_equal(err.message, "");
    } else {
        assert_non_null(strstr(err.message, kds_blas_core()));
        print_message("           %s: %s\n", err.message, err.hint);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return in_child(argv[1]);
    }
    program = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(content),
        cmocka_unit_test(forced),
        cmocka_unit_test(here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
