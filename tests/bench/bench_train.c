/*
 * Training throughput of the core on one processor: bench_train MODEL SECONDS [BATCH]
 *
 * Trains for about that long (at least two steps after one to warm up) and prints one line of name=value: images per second, GFLOP/s of the
 * needed multiply-adds, the FMA peak of the core just before and after, memory, and what the other side must agree with. The caller pins.
 */
#include "measure.h"
#include "student.h"

static kds_status run(const char *model, double seconds, int32_t batch, kds_error *err)
{
    kds_status status;
    kds_data_shape data;
    student s = {0};
    KDS_TRY(student_data_of(model, &data, err));
    KDS_TRY(student_make(&s, model, &data, batch, err));
    double before = peak_gflops(0.02);
    double images = batch / seconds_per_call(student_step, &s, seconds, 2);
    double after = peak_gflops(0.02);
    double macs = kds_model_training_macs(&s.model);
    printf("images=%.1f gflops=%.2f peak=%.2f loss=%.4f parameters=%lld macs=%.0f arena_mib=%.1f resident_mib=%.1f "
           "isa=%s\n",
           images, 2e-9 * images * macs, before > after ? before : after, s.last_loss, (long long)s.model.n_parameters,
           macs, (double)s.memory.size / (1 << 20), peak_resident_mib(), kds_isa_name(s.kernels.isa));
out:
    student_clear(&s);
    return status;
}

int main(int argc, char **argv)
{
    kds_error err = KDS_ERROR_INIT;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_train MODEL SECONDS [BATCH]\n");
        return 1;
    }
    if (run(argv[1], atof(argv[2]), argc > 3 ? atoi(argv[3]) : 128, &err) != KDS_OK) {
        fprintf(stderr, "bench_train: %s\n", err.message);
        return 1;
    }
    return 0;
}
