/*
 * A checkpoint: everything that training has changed, so that an interrupted trial goes on to the same bits.
 *
 * Layout: header | parameters | velocity | log multipliers | sums of the averaged iterate | the result so far, packed.
 */
#include <string.h>

#include "kdsweep/hash.h"
#include "run.h"

enum { CHECKPOINT_FORMAT = 1 };

typedef struct checkpoint_header {
    char magic[8];
    uint64_t
        identity; /* of spec, data, labels, instruction set and BLAS core: on anything else the bits would not go on */
    uint64_t n_bytes;
    uint32_t crc; /* of everything, this field taken as 0 */
    uint32_t format;
    run_position position;
} checkpoint_header;

static const char checkpoint_magic[8] = "kdsckpt";

static uint64_t run_identity(const kds_run *run)
{
    uint64_t identity = kds_hash64_fold(kds_trial_id(run->spec), run->split->fingerprint);
    identity = kds_hash64_fold(identity, (uint64_t)run->net.kernels->isa);
    const char *core = kds_blas_core();
    identity = kds_hash64_fold(identity, kds_hash64(core, strlen(core), 0));
    const char *version = kds_blas_version();
    identity = kds_hash64_fold(identity, kds_hash64(version, strlen(version), 0));
    if (run->teacher) { /* a teacher that was trained again elsewhere may have left other labels */
        size_t row = (size_t)run->model.n_classes * sizeof(float);
        identity = kds_hash64_fold(identity,
                                   kds_hash64(run->teacher->train_logits, (size_t)run->split->n_train * row, 0));
        identity = kds_hash64_fold(
            identity, kds_hash64(run->teacher->validation_logits, (size_t)run->split->n_validation * row, 0));
    }
    return identity;
}

/* Of header and payload: a damaged position would be as bad as damaged parameters. */
static uint32_t checkpoint_crc(checkpoint_header header, const void *payload, size_t n_payload)
{
    header.crc = 0;
    return kds_crc32(kds_crc32(0, &header, sizeof header), payload, n_payload);
}

/* The pieces behind the header, in order; the packed result is the last and has no pointer of its own. */
typedef struct piece {
    void *bytes;
    size_t size;
} piece;

enum { N_PIECES = 6 };

static size_t list_pieces(const kds_run *run, piece pieces[N_PIECES])
{
    size_t m = (size_t)run->model.n_classes, parameters = (size_t)run->model.n_parameters * sizeof(float);
    size_t row = run->averages ? m * sizeof(double) : 0;
    const kds_split_view *split = run->split;
    pieces[0] = (piece){run->net.parameters, parameters};
    pieces[1] = (piece){run->net.velocity, parameters};
    pieces[2] = (piece){run->loss.log_multiplier, m * sizeof(double)};
    pieces[3] = (piece){run->sum_validation, (size_t)split->n_validation * row};
    pieces[4] = (piece){run->sum_test, (size_t)split->n_test * row};
    pieces[5] = (piece){run->sum_train, run->sum_train ? (size_t)split->n_train * row : 0};
    size_t size = kds_trial_result_packed_size(&run->result->shape);
    for (int i = 0; i < N_PIECES; i++) {
        size += pieces[i].size;
    }
    return size;
}

kds_status kds_run_save(const kds_run *run, void **bytes, size_t *n_bytes, kds_error *err)
{
    piece pieces[N_PIECES];
    size_t payload = list_pieces(run, pieces);
    *n_bytes = sizeof(checkpoint_header) + payload;
    *bytes = kds_alloc(1, *n_bytes, err);
    if (!*bytes) {
        return KDS_MEMORY;
    }
    unsigned char *start = (unsigned char *)*bytes + sizeof(checkpoint_header), *at = start;
    for (int i = 0; i < N_PIECES; i++) {
        if (pieces[i].size > 0) {
            memcpy(at, pieces[i].bytes, pieces[i].size);
            at += pieces[i].size;
        }
    }
    kds_trial_result_pack(run->result, at);

    checkpoint_header header = {
        .identity = run_identity(run), .n_bytes = *n_bytes, .format = CHECKPOINT_FORMAT, .position = run->position};
    memcpy(header.magic, checkpoint_magic, sizeof header.magic);
    header.crc = checkpoint_crc(header, start, payload);
    memcpy(*bytes, &header, sizeof header);
    return KDS_OK;
}

bool kds_run_restore(kds_run *run, const void *bytes, size_t n_bytes)
{
    piece pieces[N_PIECES];
    size_t payload = list_pieces(run, pieces);
    checkpoint_header header;
    if (n_bytes != sizeof header + payload) {
        return false;
    }
    memcpy(&header, bytes, sizeof header);
    const unsigned char *at = (const unsigned char *)bytes + sizeof header;
    if (memcmp(header.magic, checkpoint_magic, sizeof header.magic) != 0 || header.format != CHECKPOINT_FORMAT ||
        header.n_bytes != n_bytes || header.identity != run_identity(run) ||
        header.crc != checkpoint_crc(header, at, payload)) {
        return false;
    }
    run->position = header.position;
    for (int i = 0; i < N_PIECES; i++) {
        if (pieces[i].size > 0) {
            memcpy(pieces[i].bytes, at, pieces[i].size);
            at += pieces[i].size;
        }
    }
    kds_trial_result_unpack(at, run->result);
    kds_loss_refresh(&run->loss);
    return true;
}
