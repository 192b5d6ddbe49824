/*
 * CIFAR-10 and CIFAR-100 in their binary version (https://www.cs.toronto.edu/~kriz/cifar.html): files of records without any header,
 * each one or two label bytes and the three planes of a 32 x 32 image.
 *
 * How many records a file has follows from its size alone, so that a subset of the data is data too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data_source.h"
#include "kdsweep/arena.h"

enum {
    SIDE = 32,
    N_PIXELS = SIDE * SIDE,
    CHANNELS = 3,
    N_FEATURES = N_PIXELS * CHANNELS,
    N_FINE = 100,
    N_COARSE = 20,
    MAX_LABELS = 2,
    MAX_FILES = 6,
    RECORDS_AT_ONCE = 64,
    FILE_PATH_CHARS = KDS_PATH_CHARS + 64,
};

/* One of the two data sets. */
typedef struct variant {
    const char *files[MAX_FILES]; /* training, then the test file */
    int n_files;
    int n_labels; /* of a record */
    struct {
        const char *what; /* in messages */
        int32_t n;        /* 0 .. n-1 */
    } labels[MAX_LABELS];
    const char *hint;
} variant;

static const variant cifar10 = {
    .files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
              "test_batch.bin"},
    .n_files = 6,
    .n_labels = 1,
    .labels = {{"label", 10}},
    .hint =
        "data.path must be the folder of CIFAR-10's binary version (not Python's or Matlab's), with data_batch_1.bin .. "
        "data_batch_5.bin and test_batch.bin: unpack cifar-10-binary.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html and give its folder cifar-10-batches-bin.",
};

static const variant cifar100 = {
    .files = {"train.bin", "test.bin"},
    .n_files = 2,
    .n_labels = 2,
    .labels = {{"coarse label", N_COARSE}, {"fine label", N_FINE}},
    .hint =
        "data.path must be the folder of CIFAR-100's binary version (not Python's or Matlab's), with train.bin and test.bin: "
        "unpack cifar-100-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and give its folder "
        "cifar-100-binary.",
};

/* What is read, and which of a record's labels is the class. */
typedef struct reading {
    const variant *of;
    const char *folder;
    int i_class;
    bool has_groups; /* the other label */
} reading;

static reading reading_of(const kds_data_spec *spec)
{
    if (spec->source == KDS_SOURCE_CIFAR10) {
        return (reading){.of = &cifar10, .folder = spec->path};
    }
    const bool is_fine = spec->cifar_labels == KDS_CIFAR_FINE;
    return (reading){.of = &cifar100, .folder = spec->path, .i_class = is_fine ? 1 : 0, .has_groups = is_fine};
}

static int64_t record_size(const variant *of)
{
    return of->n_labels + N_FEATURES;
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

typedef struct cifar_file {
    char path[FILE_PATH_CHARS];
    int descriptor; /* -1: not open */
    int64_t n_records;
} cifar_file;

static kds_status file_open(const reading *from, int i_file, cifar_file *file, kds_error *err)
{
    kds_status status = KDS_OK;
    const variant *of = from->of;
    struct stat info;
    snprintf(file->path, sizeof file->path, "%s/%s", from->folder, of->files[i_file]);
    file->descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    if (file->descriptor < 0 || fstat(file->descriptor, &info) != 0) {
        status = kds_error_set_errno(err, KDS_IO, errno, of->hint, "%s", file->path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        KDS_FAIL(err, KDS_IO, of->hint, "%s: is not a file", file->path);
    }
    if (info.st_size == 0 || (int64_t)info.st_size % record_size(of) != 0) {
        KDS_FAIL(err, KDS_DATA, of->hint,
                 "%s: found %lld bytes, expected a multiple of %lld (%d label byte%s and %d bytes of an image)",
                 file->path, (long long)info.st_size, (long long)record_size(of), of->n_labels,
                 of->n_labels > 1 ? "s" : "", N_FEATURES);
    }
    file->n_records = (int64_t)info.st_size / record_size(of);
out:
    return status;
}

static void file_close(cifar_file *file)
{
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
    }
}

static kds_status file_read(const cifar_file *file, int64_t at, void *out, size_t size, kds_error *err)
{
    unsigned char *bytes = out;
    for (size_t n_read = 0; n_read < size;) {
        const ssize_t n = pread(file->descriptor, bytes + n_read, size - n_read, (off_t)(at + (int64_t)n_read));
        if (n > 0) {
            n_read += (size_t)n;
        } else if (n == 0) {
            return kds_error_set(err, KDS_DATA, NULL, "%s: became shorter while it was read", file->path);
        } else if (errno != EINTR) {
            return kds_error_set_errno(err, KDS_IO, errno, NULL, "%s: cannot be read", file->path);
        }
    }
    return KDS_OK;
}

static kds_status check_labels(const variant *of, const cifar_file *file, int64_t i_record, const uint8_t *labels,
                               kds_error *err)
{
    for (int i = 0; i < of->n_labels; i++) {
        if (labels[i] >= of->labels[i].n) {
            return kds_error_set(err, KDS_DATA, of->hint, "%s: %s %d of record %lld, expected 0 .. %d", file->path,
                                 of->labels[i].what, labels[i], (long long)i_record, of->labels[i].n - 1);
        }
    }
    return KDS_OK;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static kds_status check_folder(const reading *from, kds_error *err)
{
    struct stat info;
    if (stat(from->folder, &info) != 0) {
        return kds_error_set_errno(err, KDS_IO, errno, from->of->hint, "%s", from->folder);
    }
    if (!S_ISDIR(info.st_mode)) {
        return kds_error_set(err, KDS_IO, from->of->hint, "%s: is not a folder", from->folder);
    }
    return KDS_OK;
}

/* RECORDS_AT_ONCE records, or those that are left, from number `first` on. */
static kds_status read_records(const reading *from, const cifar_file *file, int64_t first, uint8_t *records, int64_t *n,
                               kds_error *err)
{
    const int64_t n_left = file->n_records - first;
    *n = n_left < RECORDS_AT_ONCE ? n_left : RECORDS_AT_ONCE;
    return file_read(file, first * record_size(from->of), records, (size_t)(*n * record_size(from->of)), err);
}

/* The labels of a file, and nothing else of it; but bytes come in blocks, which cost less than a call for each record. */
static kds_status probe_file(const reading *from, int i_file, int64_t *n_records, kds_error *err)
{
    kds_status status = KDS_OK;
    const int64_t size = record_size(from->of);
    cifar_file file = {.descriptor = -1};
    uint8_t *records = kds_alloc(RECORDS_AT_ONCE, (size_t)size, err);
    if (records == NULL) {
        return KDS_MEMORY;
    }
    KDS_TRY(file_open(from, i_file, &file, err));
    for (int64_t first = 0, n = 0; first < file.n_records; first += n) {
        KDS_TRY(read_records(from, &file, first, records, &n, err));
        for (int64_t i = 0; i < n; i++) {
            KDS_TRY(check_labels(from->of, &file, first + i, records + i * size, err));
        }
    }
    *n_records = file.n_records;
out:
    kds_free(records);
    file_close(&file);
    return status;
}

static kds_status probe(const kds_data_spec *spec, kds_dataset *out, kds_error *err)
{
    kds_status status = KDS_OK;
    const reading from = reading_of(spec);
    KDS_TRY(check_folder(&from, err));
    for (int i = 0; i < from.of->n_files; i++) {
        int64_t n_records = 0;
        KDS_TRY(probe_file(&from, i, &n_records, err));
        *(i < from.of->n_files - 1 ? &out->n_train : &out->n_test) += n_records;
    }
    out->n_features = N_FEATURES;
    out->height = SIDE;
    out->width = SIDE;
    out->channels = CHANNELS;
    out->n_classes = from.of->labels[from.i_class].n;
    out->n_groups = from.has_groups ? N_COARSE : 0;
    out->is_u8 = true;
out:
    return status;
}

/* Planes to pixels. */
static void interleave(const uint8_t *planes, uint8_t *pixels)
{
    for (int i = 0; i < N_PIXELS; i++) {
        for (int c = 0; c < CHANNELS; c++) {
            pixels[CHANNELS * i + c] = planes[N_PIXELS * c + i];
        }
    }
}

/* All records of a file become the examples from *n_filled on, which must be at most n_max. */
static kds_status fill_from_file(const reading *from, int i_file, int64_t n_max, const kds_data_parts *parts,
                                 int64_t *n_filled, kds_error *err)
{
    kds_status status = KDS_OK;
    const int64_t size = record_size(from->of);
    uint8_t *records = NULL;
    cifar_file file = {.descriptor = -1};
    KDS_TRY(file_open(from, i_file, &file, err));
    if (file.n_records > n_max - *n_filled) {
        KDS_FAIL(err, KDS_DATA, NULL, "%s: became longer while it was read", file.path);
    }
    records = kds_alloc(RECORDS_AT_ONCE, (size_t)size, err);
    if (records == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int64_t first = 0, n = 0; first < file.n_records; first += n) {
        KDS_TRY(read_records(from, &file, first, records, &n, err));
        for (int64_t i = 0; i < n; i++) {
            const uint8_t *record = records + i * size;
            const int64_t example = (*n_filled)++;
            KDS_TRY(check_labels(from->of, &file, first + i, record, err));
            parts->label[example] = record[from->i_class];
            if (parts->group != NULL) {
                parts->group[example] = record[1 - from->i_class];
            }
            interleave(record + from->of->n_labels, parts->x_u8 + example * N_FEATURES);
        }
    }
out:
    kds_free(records);
    file_close(&file);
    return status;
}

static kds_status read_names(const reading *from, const kds_data_parts *parts, kds_error *err)
{
    static const char *const of_labels[] = {"coarse_label_names.txt", "fine_label_names.txt"};
    kds_status status = KDS_OK;
    char path[FILE_PATH_CHARS];
    snprintf(path, sizeof path, "%s/%s", from->folder,
             from->of == &cifar10 ? "batches.meta.txt" : of_labels[from->i_class]);
    KDS_TRY(kds_data_names_read(path, "class", parts->class_name, parts->shape.n_classes, err));
    if (from->has_groups) {
        snprintf(path, sizeof path, "%s/%s", from->folder, of_labels[1 - from->i_class]);
        KDS_TRY(kds_data_names_read(path, "group", parts->group_name, parts->shape.n_groups, err));
    }
out:
    return status;
}

static kds_status fill(const kds_data_spec *spec, const kds_data_parts *parts, kds_error *err)
{
    kds_status status = KDS_OK;
    const reading from = reading_of(spec);
    const int64_t n_train = parts->shape.n_train;
    int64_t n_filled = 0;
    for (int i = 0; i < from.of->n_files; i++) {
        const bool is_test = i == from.of->n_files - 1;
        const int64_t end = is_test ? n_train + parts->shape.n_test : n_train;
        KDS_TRY(fill_from_file(&from, i, end, parts, &n_filled, err));
        if (i >= from.of->n_files - 2 && n_filled != end) { /* the end of a part */
            KDS_FAIL(err, KDS_DATA, NULL, "%s: changed while it was read", spec->path);
        }
    }
    KDS_TRY(read_names(&from, parts, err));
out:
    return status;
}

const kds_data_source kds_data_source_cifar10 = {.name = "CIFAR-10", .has_path = true, .probe = probe, .fill = fill};
const kds_data_source kds_data_source_cifar100 = {.name = "CIFAR-100", .has_path = true, .probe = probe, .fill = fill};
