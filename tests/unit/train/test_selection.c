/*
 * What a trial keeps: selections by validation alone, counts that add up, groups, curves; and what it keeps when it diverges.
 */
#include "kdsweep/metrics.h"
#include "train_problem.h"

static void train(const problem *p, const kds_trial_spec *spec, kds_trial_result *result)
{
    kds_error err = KDS_ERROR_INIT;
    kds_trainer *trainer;
    KDS_TEST_OK(kds_trainer_new(&p->kernels, &trainer, &err), &err);
    KDS_TEST_OK(kds_train_trial(trainer, spec, &p->split, NULL, NULL, 0, NULL, NULL, result, &err), &err);
    kds_trainer_free(trainer);
}

enum { N_EPOCHS = 25 };

/* A recipe whose validation accuracy goes up and down. */
static kds_trial_spec restless(uint32_t seed, int objective)
{
    kds_trial_spec spec = spec_small(KDS_ROLE_BASELINE);
    spec.seed = seed;
    spec.student.epochs = N_EPOCHS;
    spec.student.lr = 0.5;
    spec.student.schedule = KDS_SCHEDULE_CONSTANT;
    spec.student.objective = objective;
    return spec;
}

/* From the curves alone: the first epoch with the best average; the first with the best worst class, ties to the better average. */
static void rules(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 0);
    kds_trial_result *r = result_for(&p, N_EPOCHS + 2);
    int n_ties_average = 0, n_ties_worst = 0, n_not_last = 0;
    for (uint32_t seed = 0; seed < 40; seed++) {
        kds_trial_spec spec = restless(seed, (int)(seed % 4));
        train(&p, &spec, r);
        assert_int_equal(r->status, KDS_TRIAL_DONE);
        assert_int_equal(r->n_epochs_trained, N_EPOCHS);
        int average = 0, worst = 0;
        for (int e = 1; e < N_EPOCHS; e++) {
            const float *a = r->validation_accuracy, *w = r->validation_worst_class_accuracy;
            n_ties_average += a[e] == a[average];
            n_ties_worst += w[e] == w[worst] && a[e] != a[worst];
            average = a[e] > a[average] ? e : average;
            worst = w[e] > w[worst] || (w[e] == w[worst] && a[e] > a[worst]) ? e : worst;
        }
        assert_int_equal(r->selected_epoch[KDS_SELECT_LAST], N_EPOCHS);
        assert_int_equal(r->selected_epoch[KDS_SELECT_BEST_AVERAGE], average + 1);
        assert_int_equal(r->selected_epoch[KDS_SELECT_BEST_WORST], worst + 1);
        n_not_last += average + 1 != N_EPOCHS && worst != average;
        const int32_t epochs[KDS_N_SELECTIONS] = {N_EPOCHS - 1, average, worst};
        for (int s = 0; s < KDS_N_SELECTIONS; s++) { /* and what was kept is of that epoch */
            assert_true(r->accuracy[s][KDS_SPLIT_VALIDATION] == r->validation_accuracy[epochs[s]]);
            assert_true(r->worst_class_accuracy[s][KDS_SPLIT_VALIDATION] ==
                        r->validation_worst_class_accuracy[epochs[s]]);
        }
        for (int e = N_EPOCHS; e < N_EPOCHS + 2; e++) {
            assert_true(isnan(r->train_loss[e]) && isnan(r->validation_accuracy[e]) && isnan(r->multiplier[e * 4]));
        }
        for (int e = 0; e < N_EPOCHS; e++) {
            assert_true(isfinite(r->train_loss[e]));
            double sum = 0;
            for (int y = 0; y < 4; y++) {
                sum += (double)r->multiplier[e * 4 + y];
            }
            if (seed % 4 >= KDS_OBJECTIVE_ROBUST) {
                KDS_TEST_NEAR(sum, 1, 1e-6);
            } else {
                assert_true(isnan(sum));
            }
        }
    }
    assert_true(n_ties_average > 0 && n_ties_worst > 0 && n_not_last > 0); /* the cases did occur */
    kds_trial_result_free(r);
    problem_clear(&p);
}

/* Other labels in the test part change no decision, no curve, nothing of validation; only what is measured on test. */
static void never_test(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 0);
    kds_trial_result *a = result_for(&p, N_EPOCHS), *b = result_for(&p, N_EPOCHS);
    for (uint32_t seed = 0; seed < 4; seed++) {
        kds_trial_spec spec = restless(seed, (int)seed);
        train(&p, &spec, a);
        kds_rng rng = kds_rng_make(seed, KDS_RNG_GENERATE, 5);
        kds_rng_shuffle(&rng, p.label + p.split.test[0], p.split.n_test);
        train(&p, &spec, b);
        assert_memory_equal(a->selected_epoch, b->selected_epoch, sizeof a->selected_epoch);
        assert_memory_equal(a->prediction, b->prediction,
                            (size_t)KDS_N_SELECTIONS * (size_t)p.split.n_test * sizeof(int32_t));
        assert_memory_equal(a->validation_accuracy, b->validation_accuracy, N_EPOCHS * sizeof(float));
        assert_memory_equal(a->train_loss, b->train_loss, N_EPOCHS * sizeof(float));
        for (int s = 0; s < KDS_N_SELECTIONS; s++) {
            assert_true(a->loss[s][KDS_SPLIT_VALIDATION] == b->loss[s][KDS_SPLIT_VALIDATION]);
            assert_true(a->accuracy[s][KDS_SPLIT_TEST] != b->accuracy[s][KDS_SPLIT_TEST]);
        }
    }
    kds_trial_result_free(a);
    kds_trial_result_free(b);
    problem_clear(&p);
}

/* Counts sum to the examples of each class; groups sum to the counts; ratios, predictions and loss belong to them. */
static void counts(void **state)
{
    (void)state;
    enum { M = 4, G = 3 };
    problem p;
    problem_small(&p, G);
    kds_trial_result *r = result_for(&p, N_EPOCHS);
    for (uint32_t seed = 0; seed < 4; seed++) {
        kds_trial_spec spec = restless(seed, (int)seed);
        spec.student.robust_iterate = seed == 3 ? KDS_ITERATE_AVERAGED : KDS_ITERATE_LAST;
        train(&p, &spec, r);
        for (int s = 0; s < KDS_N_SELECTIONS; s++) {
            for (int part = 0; part < KDS_N_SPLITS; part++) {
                int place = s * KDS_N_SPLITS + part;
                const int32_t *table = r->counts + place * M * M;
                int n_correct = 0, n_of_class = part == KDS_SPLIT_VALIDATION ? p.shape.n_validation : p.shape.n_test;
                double worst = 2;
                for (int y = 0; y < M; y++) {
                    int sum = 0;
                    for (int j = 0; j < M; j++) {
                        sum += table[y * M + j];
                    }
                    assert_int_equal(sum, n_of_class);
                    n_correct += table[y * M + y];
                    double recall = (double)table[y * M + y] / n_of_class;
                    worst = fmin(worst, recall);
                    KDS_TEST_NEAR((double)r->class_accuracy[place * M + y], recall, 1e-7);
                }
                KDS_TEST_NEAR((double)r->accuracy[s][part], (double)n_correct / (M * n_of_class), 1e-7);
                KDS_TEST_NEAR((double)r->balanced_accuracy[s][part], (double)r->accuracy[s][part],
                              1e-7); /* classes of one size */
                KDS_TEST_NEAR((double)r->worst_class_accuracy[s][part], worst, 1e-7);
                int w = r->worst_class[s][part];
                KDS_TEST_NEAR((double)r->class_accuracy[place * M + w], worst, 1e-7);

                int32_t sums[M * M] = {0}, n_in_group[G] = {0}, wanted_in_group[G] = {0};
                for (int g = 0; g < G; g++) {
                    for (int c = 0; c < M * M; c++) {
                        int32_t n = r->group_counts[(place * G + g) * M * M + c];
                        sums[c] += n;
                        n_in_group[g] += n;
                    }
                }
                assert_memory_equal(sums, table, sizeof sums);
                const int32_t *examples = part == KDS_SPLIT_VALIDATION ? p.split.validation : p.split.test;
                for (int i = 0; i < M * n_of_class; i++) {
                    wanted_in_group[p.group[examples[i]]]++;
                }
                assert_memory_equal(n_in_group, wanted_in_group, sizeof n_in_group);
            }
            /* The test predictions are what the counts counted, by class and by group. */
            int32_t table[M * M] = {0}, groups[G * M * M] = {0};
            for (int64_t i = 0; i < p.split.n_test; i++) {
                int32_t example = p.split.test[i], predicted = r->prediction[s * p.split.n_test + i];
                table[p.label[example] * M + predicted]++;
                groups[(p.group[example] * M + p.label[example]) * M + predicted]++;
            }
            int place = s * KDS_N_SPLITS + KDS_SPLIT_TEST;
            assert_memory_equal(table, r->counts + place * M * M, sizeof table);
            assert_memory_equal(groups, r->group_counts + place * G * M * M, sizeof groups);
        }
        /* The logits of the last iterate give its predictions and its loss. */
        double loss = 0;
        for (int64_t i = 0; i < p.split.n_test; i++) {
            assert_int_equal(kds_predict(M, r->logits + i * M), r->prediction[i]);
            loss += kds_cross_entropy_row(M, r->logits + i * M, p.label[p.split.test[i]]);
        }
        KDS_TEST_NEAR((double)r->loss[KDS_SELECT_LAST][KDS_SPLIT_TEST], loss / (double)p.split.n_test, 1e-6);
        assert_memory_equal(r->train_count, p.split.train_count, M * sizeof(int32_t));
    }
    kds_trial_result_free(r);
    problem_clear(&p);
}

/* Falling apart: a reason, the curves up to there, no measures; the rest of the sweep does not notice. */
static void divergence(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 2);
    kds_trial_result *r = result_for(&p, N_EPOCHS);
    const double rates[] = {1e4, 1e10, 1e30, 3e38};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        for (int objective = 0; objective < 4; objective++) {
            kds_trial_spec spec = restless(1, objective);
            spec.student.lr = rates[i];
            spec.student.momentum = 0.99;
            spec.student.weight_decay = 0.1;
            snprintf(spec.student.model, sizeof spec.student.model, "mlp:8-8");
            train(&p, &spec, r);
            assert_int_equal(r->status, KDS_TRIAL_DIVERGED);
            assert_non_null(strstr(r->reason, "not finite"));
            assert_non_null(strstr(r->reason, "epoch"));
            assert_true(r->n_epochs_trained < N_EPOCHS);
            for (int s = 0; s < KDS_N_SELECTIONS; s++) {
                assert_int_equal(r->selected_epoch[s], 0);
                for (int part = 0; part < KDS_N_SPLITS; part++) {
                    assert_true(isnan(r->accuracy[s][part]) && isnan(r->balanced_accuracy[s][part]) &&
                                isnan(r->worst_class_accuracy[s][part]) && isnan(r->loss[s][part]));
                    assert_int_equal(r->worst_class[s][part], -1);
                }
            }
            for (int c = 0; c < 3 * 2 * 4; c++) {
                assert_true(isnan(r->class_accuracy[c]));
            }
            for (int c = 0; c < 3 * 2 * 16; c++) {
                assert_int_equal(r->counts[c], 0);
            }
            for (int c = 0; c < 3 * 2 * 2 * 16; c++) {
                assert_int_equal(r->group_counts[c], 0);
            }
            for (int64_t c = 0; c < 3 * p.split.n_test; c++) {
                assert_int_equal(r->prediction[c], -1);
            }
            for (int64_t c = 0; c < 4 * p.split.n_test; c++) {
                assert_true(isnan(r->logits[c]));
            }
            assert_true(isnan(r->parameters[0]));
            for (int e = r->n_epochs_trained; e < N_EPOCHS; e++) {
                assert_true(isnan(r->train_loss[e]) && isnan(r->validation_accuracy[e]));
            }
        }
    }
    kds_trial_result_free(r);
    problem_clear(&p);
}

/* At the first step whose loss is no number; or, if there was none, at the end of the epoch. */
static void divergence_is_seen_at_once(void **state)
{
    (void)state;
    problem p;
    problem_small(&p, 0);
    kds_trial_result *r = result_for(&p, N_EPOCHS);
    kds_trial_spec spec = restless(1, KDS_OBJECTIVE_STANDARD);
    spec.student.lr = 3e38;
    spec.student.warmup = 0;
    train(&p, &spec, r);
    assert_int_equal(r->status, KDS_TRIAL_DIVERGED);
    assert_int_equal(strncmp(r->reason, "the loss is not finite at epoch 1, step 2 of 5;", 47), 0);
    assert_int_equal(r->n_epochs_trained, 0);
    spec.student.batch = 100; /* the only step of the epoch still starts well */
    train(&p, &spec, r);
    assert_int_equal(r->status, KDS_TRIAL_DIVERGED);
    assert_int_equal(strncmp(r->reason, "the validation loss is not finite at epoch 1,", 45), 0);
    assert_int_equal(r->n_epochs_trained, 0);
    kds_trial_result_free(r);
    problem_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules), cmocka_unit_test(never_test), cmocka_unit_test(counts),
                                       cmocka_unit_test(divergence), cmocka_unit_test(divergence_is_seen_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
