#include "worker.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checkpoints.h"
#include "kdsweep/arena.h"
#include "kdsweep/clock.h"
#include "kdsweep/hash.h"

/* A trial of at least this many seconds leaves a checkpoint when it is interrupted, and one every CHECKPOINT_SECONDS. */
static const double checkpoint_after = 0.25, checkpoint_seconds = 300;

struct kds_worker {
    kds_worker_config config;
    kds_trainer *trainer;
    kds_trial_result *result;
    unsigned char *bytes; /* what the last outcome points to */
    char host[KDS_HOST_CHARS];
    kds_split_view *split; /* the last one made, and what it was made from */
    uint64_t split_key;
    kds_artifact *artifact; /* of the last teacher whose labels were used */
    uint64_t artifact_key;
    const char *blas;  /* OpenBLAS, if a label depends on it */
    kds_error lost;    /* what outcome->error points to */
    double fraction;   /* of the trial that runs */
    bool is_preparing; /* what it trains is not that trial, but its teacher */
    uint64_t job_id;   /* of that trial */
    /* Trial of the checkpoint that this worker has written last and nobody has removed; 0: none. */
    uint64_t checkpoint_id;
    bool has_warned; /* of a checkpoint that could not be written */
};

size_t kds_worker_max_bytes(const kds_row_plan *rows)
{
    size_t packed = kds_trial_result_packed_size(&rows->shape);
    return packed > KDS_WORKER_REASON_CHARS ? packed : KDS_WORKER_REASON_CHARS;
}

kds_status kds_worker_new(const kds_worker_config *config, kds_worker **out, kds_error *err)
{
    kds_status status;
    kds_worker *worker = kds_alloc(1, sizeof *worker, err);
    *out = worker;
    if (!worker) {
        return KDS_MEMORY;
    }
    worker->config = *config;
    gethostname(worker->host, sizeof worker->host - 1);
    worker->blas = kds_kernels_blas(config->kernels);
    KDS_TRY(kds_trainer_new(config->kernels, &worker->trainer, err));
    KDS_TRY(kds_trial_result_new(&config->rows->shape, &worker->result, err));
    worker->bytes = kds_alloc(1, config->store ? KDS_WORKER_REASON_CHARS : kds_worker_max_bytes(config->rows), err);
    status = worker->bytes ? KDS_OK : KDS_MEMORY;
out:
    return status;
}

void kds_worker_free(kds_worker *worker)
{
    if (worker) {
        kds_trainer_free(worker->trainer);
        kds_trial_result_free(worker->result);
        kds_split_free(worker->split);
        kds_artifact_free(worker->artifact);
        kds_free(worker->bytes);
        kds_free(worker);
    }
}

void kds_job_describe(const kds_plan *plan, int32_t job, char *text, size_t size)
{
    static const char *const roles[KDS_N_ROLES] = {"teacher", "student", "baseline"};
    kds_trial_spec spec;
    kds_text words = {0};
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    kds_plan_spec(plan, job, &spec);
    kds_text_addf(&words, "trial %d (%s", (int)job, roles[spec.role]);
    for (int a = 0; a < plan->grid->n_axes; a++) {
        const kds_axis *axis = &plan->grid->axes[a];
        for (int k = 0; k < axis->n_slots; k++) {
            if (kds_slot_applies(axis->slots[k], &spec)) {
                const kds_slot *slot = &slots[axis->slots[k]];
                kds_text_addf(&words, ", %s ", axis->n_slots == 1 ? slot->name : axis->path);
                kds_slot_value_to_text(slot, kds_slot_get(slot, &spec), false, &words);
                break;
            }
        }
    }
    kds_text_add(&words, ")");
    snprintf(text, size, "%s", kds_text_string(&words));
    kds_text_clear(&words);
}

/* ---- splits and labels, the last of each kept ---------------------------------------------------------------------------- */

/* Identity of everything a split depends on: the data slots that have an effect. */
static uint64_t data_key(const kds_trial_spec *spec)
{
    int n_slots;
    const kds_slot *slots = kds_slots(&n_slots);
    uint64_t key = 0;
    for (int i = 0; i < n_slots; i++) {
        if (strncmp(slots[i].path, "data.", 5) == 0 && kds_slot_applies(i, spec)) {
            key = kds_hash64_fold(key, kds_slot_value_hash(&slots[i], kds_slot_get(&slots[i], spec)));
        }
    }
    return key;
}

static kds_status get_split(kds_worker *worker, const kds_trial_spec *spec, kds_error *err)
{
    kds_status status = KDS_OK;
    uint64_t key = data_key(spec);
    if (!worker->split || worker->split_key != key) {
        kds_split_free(worker->split);
        worker->split = NULL;
        KDS_TRY(kds_split_new(worker->config.dataset, &spec->data, &worker->split, err));
        worker->split_key = key;
    }
out:
    return status;
}

static uint64_t artifact_key(const kds_worker *worker, uint64_t teacher_id)
{
    return kds_artifact_key(teacher_id, worker->split->fingerprint, kds_isa_name(worker->config.kernels->isa),
                            worker->blas);
}

kds_status kds_worker_artifact_key(kds_worker *worker, int32_t teacher_job, uint64_t *key, kds_error *err)
{
    kds_status status;
    kds_trial_spec spec;
    kds_plan_spec(worker->config.plan, teacher_job, &spec);
    KDS_TRY(get_split(worker, &spec, err));
    *key = artifact_key(worker, worker->config.plan->jobs[teacher_job].id);
out:
    return status;
}

/* ---- training -------------------------------------------------------------------------------------------------------------- */

typedef struct hook_context {
    kds_worker *worker;
    uint64_t id;
    kds_tick tick;
} hook_context;

static bool interrupt_hook(void *context)
{
    const hook_context *hook = context;
    return hook->tick.call && hook->tick.call(hook->tick.context);
}

static void remove_checkpoint(kds_worker *worker, uint64_t id)
{
    if (!worker->config.leaves_nothing) {
        kds_checkpoint_remove(worker->config.work, id);
    }
    if (worker->checkpoint_id == id) {
        worker->checkpoint_id = 0;
    }
}

/* One checkpoint for each rank: an earlier one of another job makes room. But while a teacher is trained again inside its student's job, the
 * student's own may lie there, to be gone on with. */
static void checkpoint_hook(void *context, const void *bytes, size_t n_bytes)
{
    const hook_context *hook = context;
    kds_worker *worker = hook->worker;
    kds_error err = KDS_ERROR_INIT;
    const uint64_t earlier = worker->checkpoint_id;
    if (earlier != 0 && earlier != hook->id && earlier != worker->job_id) {
        remove_checkpoint(worker, earlier);
    }
    kds_status status;
    if (bytes) {
        status = kds_checkpoint_write(worker->config.work, hook->id, kds_train_checkpoint_seconds(bytes), bytes,
                                      n_bytes, &err);
    } else {
        status = kds_error_set(&err, KDS_MEMORY, NULL, "no memory for its %zu bytes", n_bytes);
    }
    if (status == KDS_OK) {
        worker->checkpoint_id = hook->id;
    } else if (!worker->has_warned) {
        worker->has_warned = true;
        kds_log_warning(worker->config.log, "no checkpoint: %s", err.message);
    }
}

/* Train one trial on the current split, going on from its checkpoint if it has one. */
static kds_status train(kds_worker *worker, const kds_trial_spec *spec, uint64_t id, const kds_teacher_labels *teacher,
                        const kds_train_outputs *outputs, kds_tick tick, kds_trial_result *result, kds_error *err)
{
    void *checkpoint = NULL;
    size_t n_checkpoint = 0;
    hook_context context = {.worker = worker, .id = id, .tick = tick};
    bool alone = worker->config.leaves_nothing;
    const kds_train_hooks hooks = {.interrupt = interrupt_hook,
                                   .checkpoint = alone ? NULL : checkpoint_hook,
                                   .checkpoint_seconds = checkpoint_seconds,
                                   .checkpoint_after = checkpoint_after,
                                   .context = &context,
                                   .fraction = worker->is_preparing ? NULL : &worker->fraction};
    if (!alone) {
        kds_checkpoint_read(worker->config.work, id, &checkpoint, &n_checkpoint);
    }
    kds_status status = kds_train_trial(worker->trainer, spec, worker->split, teacher, checkpoint, n_checkpoint, &hooks,
                                        outputs, result, err);
    kds_free(checkpoint);
    if (status == KDS_OK) {
        result->rank = worker->config.rank;
        memcpy(result->host, worker->host, sizeof result->host);
        result->finished_at = kds_clock_utc();
    }
    return status;
}

/* Room for the labels of the current split and this teacher's stored values. */
static kds_status new_artifact(const kds_worker *worker, const kds_trial_spec *spec, kds_artifact **out, kds_error *err)
{
    kds_status status;
    const kds_split_view *split = worker->split;
    const kds_dataset *dataset = worker->config.dataset;
    size_t m = (size_t)dataset->n_classes;
    kds_artifact *artifact = kds_alloc(1, sizeof *artifact, err);
    float *block = NULL;
    if (!artifact) {
        return KDS_MEMORY;
    }
    *artifact = (kds_artifact){
        .n_train = split->n_train, .n_validation = split->n_validation, .n_classes = dataset->n_classes};
    const kds_data_shape shape = kds_dataset_shape(dataset);
    KDS_TRY(kds_train_n_values(&spec->teacher, &shape, &artifact->n_parameters, err));
    block = kds_alloc((size_t)(split->n_train + split->n_validation) * m + (size_t)artifact->n_parameters,
                      sizeof *block, err);
    if (!block) {
        status = KDS_MEMORY;
        goto out;
    }
    artifact->memory = block;
    artifact->train_logits = block;
    artifact->validation_logits = block + (size_t)split->n_train * m;
    artifact->parameters = artifact->validation_logits + (size_t)split->n_validation * m;
    *out = artifact;
    artifact = NULL;
out:
    kds_artifact_free(artifact);
    return status;
}

/* Train a teacher and leave its artifact, before its row says that it is done; keep it in hand for its first student. */
static kds_status train_teacher(kds_worker *worker, int32_t job, const kds_trial_spec *spec, kds_tick tick,
                                kds_trial_result *result, kds_error *err)
{
    kds_status status;
    kds_artifact *artifact = NULL;
    uint64_t id = worker->config.plan->jobs[job].id;
    kds_artifact_free(worker->artifact);
    worker->artifact = NULL;
    KDS_TRY(new_artifact(worker, spec, &artifact, err));
    const kds_train_outputs outputs = {artifact->train_logits, artifact->validation_logits, artifact->parameters};
    KDS_TRY(train(worker, spec, id, NULL, &outputs, tick, result, err));
    if (result->status == KDS_TRIAL_DONE) {
        if (!worker->config.leaves_nothing) {
            KDS_TRY(kds_artifact_write(worker->config.work, artifact_key(worker, id), artifact, err));
        }
        worker->artifact = artifact;
        worker->artifact_key = artifact_key(worker, id);
        artifact = NULL;
    }
out:
    kds_artifact_free(artifact);
    return status;
}

/* Read the artifact of the teacher of this spec, which must be what training it would leave. */
static kds_status read_artifact(kds_worker *worker, const kds_trial_spec *spec, uint64_t key, kds_error *err)
{
    kds_status status;
    const kds_data_shape shape = kds_dataset_shape(worker->config.dataset);
    kds_artifact *artifact = NULL;
    int64_t n_values;
    KDS_TRY(kds_artifact_read(worker->config.work, key, &artifact, err));
    KDS_TRY(kds_train_n_values(&spec->teacher, &shape, &n_values, err));
    if (artifact->n_parameters != n_values || artifact->n_train != worker->split->n_train ||
        artifact->n_validation != worker->split->n_validation || artifact->n_classes != shape.n_classes) {
        KDS_FAIL(err, KDS_FORMAT, NULL, "the artifact %016llx is of another teacher", (unsigned long long)key);
    }
    worker->artifact = artifact;
    worker->artifact_key = key;
    artifact = NULL;
out:
    kds_artifact_free(artifact);
    return status;
}

/* The labels of a student's teacher: the ones in hand, from its artifact, or, where that is lost or damaged, by training it again. */
static kds_status get_artifact(kds_worker *worker, int32_t teacher_job, kds_tick tick, kds_trial_result *result,
                               kds_error *err)
{
    kds_status status = KDS_OK;
    uint64_t id = worker->config.plan->jobs[teacher_job].id, key = artifact_key(worker, id);
    if (worker->artifact && worker->artifact_key == key) {
        return KDS_OK;
    }
    kds_artifact_free(worker->artifact);
    worker->artifact = NULL;
    kds_error lost = KDS_ERROR_INIT;
    kds_trial_spec spec;
    kds_plan_spec(worker->config.plan, teacher_job, &spec);
    if (read_artifact(worker, &spec, key, &lost) != KDS_OK) {
        kds_log_verbose(worker->config.log, "%s; that teacher is trained again", lost.message);
        worker->is_preparing = true;
        status = train_teacher(worker, teacher_job, &spec, tick, result, err);
        worker->is_preparing = false;
        KDS_TRY(status);
        remove_checkpoint(worker, id);
        if (result->status != KDS_TRIAL_DONE) {
            KDS_FAIL(err, KDS_DIVERGED, NULL, "its teacher, trial %d, was trained again for its labels and diverged",
                     (int)teacher_job);
        }
    }
out:
    return status;
}

kds_status kds_worker_train(kds_worker *worker, int32_t job, kds_tick tick, kds_trial_result *result, kds_error *err)
{
    kds_status status;
    kds_trial_spec spec;
    kds_teacher_labels labels = {0};
    const kds_job *entry = &worker->config.plan->jobs[job];
    worker->fraction = NAN;
    worker->job_id = entry->id;
    kds_plan_spec(worker->config.plan, job, &spec);
    KDS_TRY(get_split(worker, &spec, err));
    if (spec.role == KDS_ROLE_TEACHER) {
        KDS_TRY(train_teacher(worker, job, &spec, tick, result, err));
    } else {
        if (spec.role == KDS_ROLE_STUDENT) {
            KDS_TRY(get_artifact(worker, entry->teacher, tick, result, err));
            labels = (kds_teacher_labels){worker->artifact->train_logits, worker->artifact->validation_logits,
                                          worker->artifact->parameters};
        }
        KDS_TRY(
            train(worker, &spec, entry->id, spec.role == KDS_ROLE_STUDENT ? &labels : NULL, NULL, tick, result, err));
    }
out:
    return status;
}

double kds_worker_how_far(const kds_worker *worker)
{
    return worker->fraction;
}

void kds_worker_run(kds_worker *worker, int32_t job, kds_tick tick, kds_outcome *outcome)
{
    const kds_worker_config *config = &worker->config;
    kds_trial_result *result = worker->result;
    kds_error err = KDS_ERROR_INIT;
    double start = kds_clock_wall();
    uint64_t id = config->plan->jobs[job].id;
    *outcome = (kds_outcome){.kind = KDS_OUTCOME_DONE};

    kds_status status = kds_worker_train(worker, job, tick, result, &err);
    outcome->seconds = kds_clock_wall() - start;
    if (status == KDS_STOPPED) {
        outcome->kind = KDS_OUTCOME_INTERRUPTED;
        return;
    }
    if (status == KDS_IO || status == KDS_CONFLICT) {
        outcome->kind = KDS_OUTCOME_LOST;
        worker->lost = err;
        outcome->error = &worker->lost;
        return;
    }
    if (status != KDS_OK) { /* this trial cannot be trained: a row that says why, and the sweep goes on */
        kds_trial_result_reset(result);
        result->status = KDS_TRIAL_FAILED;
        snprintf(result->reason, sizeof result->reason, "%.*s", KDS_REASON_CHARS - 1, err.message);
        result->wall_seconds = outcome->seconds;
        result->rank = config->rank;
        memcpy(result->host, worker->host, sizeof result->host);
        result->finished_at = kds_clock_utc();
    }
    if (result->status != KDS_TRIAL_DONE) {
        outcome->kind = KDS_OUTCOME_UNUSABLE;
    }
    if (config->status[job] == KDS_TRIAL_DONE) { /* only its labels were wanted: the row is already there */
        remove_checkpoint(worker, id);
        return;
    }
    if (!config->store) {
        worker->checkpoint_id = 0;
        kds_trial_result_pack(result, worker->bytes);
        outcome->bytes = worker->bytes;
        outcome->n_bytes = kds_trial_result_packed_size(&result->shape);
        return; /* its checkpoint goes when rank 0 has written the row */
    }
    kds_error_clear(&err);
    if (kds_store_write_row(config->store, job, result, &err) != KDS_OK) {
        outcome->kind = KDS_OUTCOME_LOST;
        worker->lost = err;
        outcome->error = &worker->lost;
        return;
    }
    if (outcome->kind == KDS_OUTCOME_UNUSABLE) {
        snprintf((char *)worker->bytes, KDS_WORKER_REASON_CHARS, "%s: %s",
                 result->status == KDS_TRIAL_DIVERGED ? "diverged" : "failed", result->reason);
        outcome->bytes = worker->bytes;
        outcome->n_bytes = KDS_WORKER_REASON_CHARS;
    }
    remove_checkpoint(worker, id);
}
