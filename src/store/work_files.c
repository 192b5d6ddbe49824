/*
 * Files of the work folder: teacher artifacts and checkpoints. Each has a header with a magic word, a version, the sizes and checksums
 * of header and body, and is renamed into place when it is whole; whatever does not match is as good as not there.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kdsweep/arena.h"
#include "kdsweep/hash.h"
#include "kdsweep/store.h"

enum { ARTIFACT_VERSION = 1, CHECKPOINT_VERSION = 2 };

/* 64 bytes, so that the floats behind it are aligned. Byte order of the machine: a foreign file has another magic word. */
typedef struct header {
    uint64_t magic;
    uint32_t version;
    uint32_t n_classes;
    uint64_t key;
    int64_t n_train, n_validation, n_parameters; /* stored values of the model */
    uint32_t body_crc;
    uint32_t reserved[2];
    uint32_t header_crc; /* of everything before it */
} header;
_Static_assert(sizeof(header) == 64, "the header is 64 bytes without padding");

static const uint64_t ARTIFACT_MAGIC = 0x6B6473742E6B6474u;   /* "kdst.kdt" */
static const uint64_t CHECKPOINT_MAGIC = 0x6B6473632E636B70u; /* "kdsc.ckp" */

static void seal(header *head)
{
    head->header_crc = kds_crc32(0, head, offsetof(header, header_crc));
}

static bool is_sound(const header *head, uint64_t key)
{
    return head->magic == ARTIFACT_MAGIC && head->version == ARTIFACT_VERSION && head->key == key &&
           head->header_crc == kds_crc32(0, head, offsetof(header, header_crc));
}

void kds_work_path(const char *output, char *path, size_t size)
{
    static const char *const ENDINGS[] = {".h5", ".hdf5", ".nc"};
    struct stat about;
    char *target = lstat(output, &about) == 0 && S_ISLNK(about.st_mode) ? realpath(output, NULL) : NULL;
    if (target != NULL) {
        output = target;
    }
    size_t n = strlen(output);
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        const size_t n_ending = strlen(ENDINGS[i]);
        const bool has_stem = n > n_ending && output[n - n_ending - 1] != '/';
        if (has_stem && strcmp(output + n - n_ending, ENDINGS[i]) == 0) {
            n -= n_ending;
            break;
        }
    }
    const int written = snprintf(path, size, "%.*s.work", (int)n, output);
    KDS_ASSERT(written >= 0 && (size_t)written < size);
    free(target);
}

void kds_work_sweep_up(const char *work)
{
    static const char *const FOLDERS[] = {"teachers", "checkpoints"};
    for (size_t i = 0; i < sizeof FOLDERS / sizeof FOLDERS[0]; i++) {
        kds_text path = {0};
        kds_text_addf(&path, "%s/%s", work, FOLDERS[i]);
        DIR *folder = opendir(kds_text_string(&path));
        for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
            if (strstr(entry->d_name, ".tmp.") != NULL) { /* the temporary names of kds_file_write_atomic */
                unlinkat(dirfd(folder), entry->d_name, 0);
            }
        }
        if (folder != NULL) {
            closedir(folder);
        }
        kds_text_clear(&path);
    }
}

/* ---- teacher artifacts ----------------------------------------------------------------------------------------------- */

uint64_t kds_artifact_key(uint64_t teacher_id, uint64_t split_fingerprint, const char *isa, const char *blas)
{
    uint64_t key = kds_hash64("kdsweep artifact", 16, ARTIFACT_VERSION);
    key = kds_hash64_fold(key, teacher_id);
    key = kds_hash64_fold(key, split_fingerprint);
    key = kds_hash64_fold(key, kds_hash64(isa, strlen(isa), 0));
    return kds_hash64_fold(key, kds_hash64(blas, strlen(blas), 0));
}

static void artifact_path(const char *work, uint64_t key, kds_text *path)
{
    kds_text_addf(path, "%s/teachers/%016llx.kdt", work, (unsigned long long)key);
}

/* Numbers of floats of the three parts; false when a header's sizes are nonsense (no product may overflow). */
static bool part_sizes(const header *head, uint64_t n_floats[3])
{
    const uint64_t most = (uint64_t)1 << 40;
    if (head->n_train < 0 || head->n_validation < 0 || head->n_parameters < 0 || (uint64_t)head->n_parameters > most ||
        head->n_classes == 0 || (uint64_t)head->n_train > most / head->n_classes ||
        (uint64_t)head->n_validation > most / head->n_classes) {
        return false;
    }
    n_floats[0] = (uint64_t)head->n_train * head->n_classes;
    n_floats[1] = (uint64_t)head->n_validation * head->n_classes;
    n_floats[2] = (uint64_t)head->n_parameters;
    return true;
}

kds_status kds_artifact_write(const char *work, uint64_t key, const kds_artifact *artifact, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_text folder = {0};
    kds_text path = {0};
    header head = {
        .magic = ARTIFACT_MAGIC,
        .version = ARTIFACT_VERSION,
        .n_classes = (uint32_t)artifact->n_classes,
        .key = key,
        .n_train = artifact->n_train,
        .n_validation = artifact->n_validation,
        .n_parameters = artifact->n_parameters,
    };
    uint64_t n_floats[3] = {0};
    const bool is_sensible = part_sizes(&head, n_floats);
    KDS_ASSERT(is_sensible);
    const void *const pieces[] = {&head, artifact->train_logits, artifact->validation_logits, artifact->parameters};
    size_t sizes[] = {sizeof head, 0, 0, 0};
    for (int i = 0; i < 3; i++) {
        sizes[i + 1] = (size_t)n_floats[i] * sizeof(float);
        head.body_crc = kds_crc32(head.body_crc, pieces[i + 1], sizes[i + 1]);
    }
    seal(&head);

    kds_text_addf(&folder, "%s/teachers", work);
    artifact_path(work, key, &path);
    if (folder.failed || path.failed) {
        KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for the name of an artifact");
    }
    KDS_TRY(kds_folder_make(kds_text_string(&folder), err));
    KDS_TRY(kds_file_write_atomic(kds_text_string(&path), pieces, sizes, 4, err));
out:
    kds_text_clear(&path);
    kds_text_clear(&folder);
    return status;
}

kds_status kds_artifact_read(const char *work, uint64_t key, kds_artifact **out, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_text path = {0};
    char *bytes = NULL;
    size_t n_bytes = 0;
    header head;
    uint64_t n_floats[3] = {0};
    kds_artifact *artifact = NULL;
    *out = NULL;
    artifact_path(work, key, &path);
    KDS_TRY(kds_file_read(kds_text_string(&path), &bytes, &n_bytes, err));
    if (n_bytes < sizeof head) {
        KDS_FAIL(err, KDS_FORMAT, NULL, "the teacher artifact '%s' is cut short", kds_text_string(&path));
    }
    memcpy(&head, bytes, sizeof head);
    if (!is_sound(&head, key) || !part_sizes(&head, n_floats) ||
        n_bytes != sizeof head + (n_floats[0] + n_floats[1] + n_floats[2]) * sizeof(float) ||
        kds_crc32(0, bytes + sizeof head, n_bytes - sizeof head) != head.body_crc) {
        KDS_FAIL(err, KDS_FORMAT, NULL, "the teacher artifact '%s' is damaged", kds_text_string(&path));
    }
    artifact = kds_alloc(1, sizeof *artifact, err);
    if (artifact == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    float *floats = (float *)(void *)(bytes + sizeof head);
    *artifact = (kds_artifact){
        .n_train = head.n_train,
        .n_validation = head.n_validation,
        .n_parameters = head.n_parameters,
        .n_classes = (int32_t)head.n_classes,
        .train_logits = floats,
        .validation_logits = floats + n_floats[0],
        .parameters = floats + n_floats[0] + n_floats[1],
        .memory = bytes,
    };
    bytes = NULL;
    *out = artifact;
out:
    kds_free(bytes);
    kds_text_clear(&path);
    return status;
}

bool kds_artifact_exists(const char *work, uint64_t key)
{
    kds_text path = {0};
    header head;
    uint64_t n_floats[3] = {0};
    struct stat about;
    artifact_path(work, key, &path);
    FILE *file = fopen(kds_text_string(&path), "rb");
    const bool exists = file != NULL && fread(&head, sizeof head, 1, file) == 1 && is_sound(&head, key) &&
                        part_sizes(&head, n_floats) && fstat(fileno(file), &about) == 0 &&
                        (uint64_t)about.st_size ==
                            sizeof head + (n_floats[0] + n_floats[1] + n_floats[2]) * sizeof(float);
    if (file != NULL) {
        fclose(file);
    }
    kds_text_clear(&path);
    return exists;
}

void kds_artifact_free(kds_artifact *artifact)
{
    if (artifact != NULL) {
        kds_free(artifact->memory);
        kds_free(artifact);
    }
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------------- */

/* What is known of a checkpoint without reading it. 48 bytes. */
typedef struct checkpoint_head {
    uint64_t magic;
    uint32_t version;
    uint32_t body_crc;
    uint64_t id;
    int64_t n_bytes;
    double seconds;
    uint32_t reserved;
    uint32_t head_crc; /* of everything before it */
} checkpoint_head;
_Static_assert(sizeof(checkpoint_head) == 48, "the head is 48 bytes without padding");

static uint32_t head_crc(const checkpoint_head *head)
{
    return kds_crc32(0, head, offsetof(checkpoint_head, head_crc));
}

static bool is_head(const checkpoint_head *head, uint64_t id, int64_t n_file)
{
    return head->magic == CHECKPOINT_MAGIC && head->version == CHECKPOINT_VERSION && head->id == id &&
           head->n_bytes == n_file - (int64_t)sizeof *head && head->head_crc == head_crc(head);
}

static void checkpoint_path(const char *work, uint64_t id, kds_text *path)
{
    kds_text_addf(path, "%s/checkpoints/%016llx.ckpt", work, (unsigned long long)id);
}

kds_status kds_checkpoint_write(const char *work, uint64_t id, double seconds, const void *bytes, size_t n_bytes,
                                kds_error *err)
{
    kds_status status = KDS_OK;
    kds_text folder = {0};
    kds_text path = {0};
    checkpoint_head head = {
        .magic = CHECKPOINT_MAGIC,
        .version = CHECKPOINT_VERSION,
        .body_crc = kds_crc32(0, bytes, n_bytes),
        .id = id,
        .n_bytes = (int64_t)n_bytes,
        .seconds = seconds,
    };
    head.head_crc = head_crc(&head);
    const void *const pieces[] = {&head, bytes};
    const size_t sizes[] = {sizeof head, n_bytes};
    kds_text_addf(&folder, "%s/checkpoints", work);
    checkpoint_path(work, id, &path);
    if (folder.failed || path.failed) {
        KDS_FAIL(err, KDS_MEMORY, NULL, "no memory for the name of a checkpoint");
    }
    KDS_TRY(kds_folder_make(kds_text_string(&folder), err));
    KDS_TRY(kds_file_write_atomic(kds_text_string(&path), pieces, sizes, 2, err));
out:
    kds_text_clear(&path);
    kds_text_clear(&folder);
    return status;
}

void kds_checkpoint_read(const char *work, uint64_t id, void **bytes, size_t *n_bytes)
{
    kds_text path = {0};
    char *file = NULL;
    size_t n_file = 0;
    checkpoint_head head;
    *bytes = NULL;
    *n_bytes = 0;
    checkpoint_path(work, id, &path);
    if (kds_file_read(kds_text_string(&path), &file, &n_file, NULL) == KDS_OK && n_file >= sizeof head) {
        memcpy(&head, file, sizeof head);
        const size_t n_body = n_file - sizeof head;
        if (is_head(&head, id, (int64_t)n_file) && kds_crc32(0, file + sizeof head, n_body) == head.body_crc) {
            /* The caller frees what it gets, so that must be the start of a block. */
            memmove(file, file + sizeof head, n_body);
            *bytes = file;
            *n_bytes = n_body;
            file = NULL;
        }
    }
    kds_free(file);
    kds_text_clear(&path);
}

double kds_checkpoint_seconds(const char *work, uint64_t id)
{
    kds_text path = {0};
    checkpoint_head head;
    struct stat about;
    checkpoint_path(work, id, &path);
    FILE *file = fopen(kds_text_string(&path), "rb");
    const bool is_whole = file != NULL && fread(&head, sizeof head, 1, file) == 1 && fstat(fileno(file), &about) == 0 &&
                          is_head(&head, id, (int64_t)about.st_size);
    if (file != NULL) {
        fclose(file);
    }
    kds_text_clear(&path);
    return is_whole && head.seconds > 0 ? head.seconds : 0;
}

void kds_checkpoint_remove(const char *work, uint64_t id)
{
    kds_text path = {0};
    checkpoint_path(work, id, &path);
    unlink(kds_text_string(&path));
    kds_text_clear(&path);
}

int kds_checkpoint_list(const char *work, uint64_t *ids, int n_max)
{
    kds_text path = {0};
    kds_text_addf(&path, "%s/checkpoints", work);
    DIR *folder = opendir(kds_text_string(&path));
    int n = 0;
    for (const struct dirent *entry; folder != NULL && n < n_max && (entry = readdir(folder)) != NULL;) {
        unsigned long long id = 0;
        int length = 0;
        if (sscanf(entry->d_name, "%16llx.ckpt%n", &id, &length) == 1 && length > 0 && entry->d_name[length] == '\0') {
            ids[n++] = id;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    kds_text_clear(&path);
    return n;
}
