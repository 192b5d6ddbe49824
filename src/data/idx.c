/*
 * IDX files (MNIST and its relatives), plain or gzip-compressed: a folder with the four files of MNIST's names.
 *
 * zlib reads both kinds through one interface. Reading one byte beyond the data is what makes it check the CRC at the
 * end of a compressed file, and what finds a file that is longer than its header says.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "data_source.h"
#include "kdsweep/arena.h"

static const char FILES_HINT[] =
    "data.path must be a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, plain or with .gz. Fashion-MNIST: install the package dataset-fashion-mnist and use "
    "/usr/share/datasets/fashion-mnist.";
static const char DAMAGE_HINT[] = "Fetch or make the file again.";

enum {
    MAX_DIMENSIONS = 3,
    READ_BUFFER = 1 << 18,
    MAX_READ = 1 << 28,   /* gzread counts in unsigned int */
    MAX_INFLATION = 1032, /* zlib's own bound: a byte of deflate gives at most so many */
    FILE_PATH_CHARS = KDS_PATH_CHARS + 64,
};

/* ---- one file ---------------------------------------------------------------------------------------------------- */

typedef struct idx_file {
    char path[FILE_PATH_CHARS];
    gzFile stream; /* NULL: not open */
    int64_t n_items;
    int64_t n_rows, n_columns; /* of an image; 1 and 1 for a label */
} idx_file;

static int64_t data_size(const idx_file *file)
{
    return file->n_items * file->n_rows * file->n_columns;
}

/* The plain file if it is there, else the compressed one. Gets its size on disk. */
static kds_status find_file(const char *folder, const char *name, idx_file *file, int64_t *disk_size, kds_error *err)
{
    static const char *const endings[] = {"", ".gz"};
    struct stat info;
    for (int i_ending = 0; i_ending < 2; i_ending++) {
        snprintf(file->path, sizeof file->path, "%s/%s%s", folder, name, endings[i_ending]);
        if (stat(file->path, &info) == 0) {
            *disk_size = (int64_t)info.st_size;
            return S_ISREG(info.st_mode) ? KDS_OK
                                         : kds_error_set(err, KDS_IO, FILES_HINT, "%s: is not a file", file->path);
        }
        if (errno != ENOENT) {
            return kds_error_set_errno(err, KDS_IO, errno, FILES_HINT, "%s", file->path);
        }
    }
    return kds_error_set(err, KDS_IO, FILES_HINT, "%s/%s: no such file, neither plain nor with .gz", folder, name);
}

/* Read up to `size` bytes; *n_read is less only at the end of the file, or where a compressed file breaks off. */
static kds_status read_bytes(idx_file *file, void *out, int64_t size, int64_t *n_read, kds_error *err)
{
    unsigned char *bytes = out;
    *n_read = 0;
    while (*n_read < size) {
        const int64_t left = size - *n_read;
        const int n = gzread(file->stream, bytes + *n_read, (unsigned)(left < MAX_READ ? left : MAX_READ));
        if (n < 0) {
            int code = Z_OK;
            const char *words = gzerror(file->stream, &code);
            if (code == Z_ERRNO) {
                return kds_error_set_errno(err, KDS_IO, errno, NULL, "%s: cannot be read", file->path);
            }
            /* zlib puts the path in front of its words. */
            const size_t path_size = strlen(file->path);
            if (strncmp(words, file->path, path_size) == 0 && strncmp(words + path_size, ": ", 2) == 0) {
                words += path_size + 2;
            }
            return kds_error_set(err, KDS_DATA, DAMAGE_HINT, "%s: the compressed data are damaged: %s", file->path,
                                 words);
        }
        if (n == 0) {
            break;
        }
        *n_read += n;
    }
    return KDS_OK;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* The header: two zero bytes, element type (8: unsigned byte), number of dimensions, then the dimensions. */
static kds_status read_header(idx_file *file, int n_dimensions, int64_t disk_size, kds_error *err)
{
    kds_status status = KDS_OK;
    unsigned char bytes[4 + 4 * MAX_DIMENSIONS];
    const int64_t size = 4 + 4 * (int64_t)n_dimensions;
    const uint32_t magic = 0x00000800U + (uint32_t)n_dimensions;
    int64_t n_read = 0;
    KDS_TRY(read_bytes(file, bytes, size, &n_read, err));
    if (n_read >= 4 && big_endian(bytes) != magic) {
        KDS_FAIL(err, KDS_DATA, FILES_HINT, "%s: found the magic number 0x%08x, expected 0x%08x (%s as unsigned bytes)",
                 file->path, (unsigned)big_endian(bytes), (unsigned)magic, n_dimensions == 3 ? "images" : "labels");
    }
    if (n_read < size) {
        KDS_FAIL(err, KDS_DATA, DAMAGE_HINT, "%s: truncated: found %lld of the %lld bytes of its header", file->path,
                 (long long)n_read, (long long)size);
    }
    file->n_items = big_endian(bytes + 4);
    file->n_rows = n_dimensions == 3 ? big_endian(bytes + 8) : 1;
    file->n_columns = n_dimensions == 3 ? big_endian(bytes + 12) : 1;
    if (file->n_rows > KDS_DATA_MAX_FEATURES || file->n_columns > KDS_DATA_MAX_FEATURES ||
        file->n_rows * file->n_columns > KDS_DATA_MAX_FEATURES) {
        KDS_FAIL(err, KDS_DATA, DAMAGE_HINT, "%s: found images of %lld x %lld pixels, expected at most %d pixels",
                 file->path, (long long)file->n_rows, (long long)file->n_columns, KDS_DATA_MAX_FEATURES);
    }
    /* Before anybody allocates what a damaged header asks for. */
    const bool is_plain = gzdirect(file->stream) != 0;
    const int64_t most = is_plain ? disk_size - size : disk_size * MAX_INFLATION;
    if (data_size(file) > most) {
        KDS_FAIL(err, KDS_DATA, DAMAGE_HINT, "%s: truncated: found %lld bytes of %sdata, expected %lld", file->path,
                 (long long)(is_plain ? most : disk_size), is_plain ? "" : "compressed ", (long long)data_size(file));
    }
out:
    return status;
}

/* Open and read the header; the stream then stands at the data. */
static kds_status file_open(const char *folder, const char *name, int n_dimensions, idx_file *file, kds_error *err)
{
    kds_status status = KDS_OK;
    int64_t disk_size = 0;
    KDS_TRY(find_file(folder, name, file, &disk_size, err));
    errno = 0;
    file->stream = gzopen(file->path, "rb");
    if (file->stream == NULL) {
        if (errno == 0) { /* zlib's way to say that its own allocation failed */
            KDS_FAIL(err, KDS_MEMORY, NULL, "%s: no memory to open it", file->path);
        }
        status = kds_error_set_errno(err, KDS_IO, errno, NULL, "%s: cannot be opened", file->path);
        goto out;
    }
    gzbuffer(file->stream, READ_BUFFER);
    KDS_TRY(read_header(file, n_dimensions, disk_size, err));
out:
    return status;
}

/* All data of an open file, to `out` [data_size]; then the file must end. */
static kds_status file_read_data(idx_file *file, void *out, kds_error *err)
{
    kds_status status = KDS_OK;
    int64_t n_read = 0;
    int64_t n_more = 0;
    char more;
    KDS_TRY(read_bytes(file, out, data_size(file), &n_read, err));
    if (n_read < data_size(file)) {
        KDS_FAIL(err, KDS_DATA, DAMAGE_HINT, "%s: truncated: found %lld bytes of data, expected %lld", file->path,
                 (long long)n_read, (long long)data_size(file));
    }
    KDS_TRY(read_bytes(file, &more, 1, &n_more, err));
    if (n_more > 0) {
        KDS_FAIL(err, KDS_DATA, DAMAGE_HINT, "%s: goes on behind the %lld bytes of data that its header announces",
                 file->path, (long long)data_size(file));
    }
    int code = Z_OK;
    gzerror(file->stream, &code);
    if (code == Z_BUF_ERROR) { /* the data are complete, but the CRC behind them is cut off */
        KDS_FAIL(err, KDS_DATA, DAMAGE_HINT, "%s: truncated: the compressed data have no end", file->path);
    }
out:
    return status;
}

static void file_close(idx_file *file)
{
    if (file->stream != NULL) {
        gzclose(file->stream);
        file->stream = NULL;
    }
}

/* ---- images and labels of one part ------------------------------------------------------------------------------- */

typedef struct idx_part {
    idx_file images;
    idx_file labels;
    uint8_t *label; /* [labels.n_items] */
} idx_part;

/* The folders, once for a better message than four missing files. */
static kds_status check_folder(const char *folder, kds_error *err)
{
    struct stat info;
    if (stat(folder, &info) != 0) {
        return kds_error_set_errno(err, KDS_IO, errno, FILES_HINT, "%s", folder);
    }
    if (!S_ISDIR(info.st_mode)) {
        return kds_error_set(err, KDS_IO, FILES_HINT, "%s: is not a folder", folder);
    }
    return KDS_OK;
}

/* Open both files of a part ("train" or "t10k") and read the labels. */
static kds_status part_open(const char *folder, const char *prefix, idx_part *part, kds_error *err)
{
    kds_status status = KDS_OK;
    char name[64];
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix);
    KDS_TRY(file_open(folder, name, 3, &part->images, err));
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
    KDS_TRY(file_open(folder, name, 1, &part->labels, err));
    if (part->images.n_items != part->labels.n_items) {
        KDS_FAIL(err, KDS_DATA, "Both files must come from the same data set.",
                 "%s: found %lld labels, but %s has %lld images", part->labels.path, (long long)part->labels.n_items,
                 part->images.path, (long long)part->images.n_items);
    }
    part->label = kds_alloc((size_t)part->labels.n_items, sizeof *part->label, err);
    if (part->label == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    KDS_TRY(file_read_data(&part->labels, part->label, err));
out:
    return status;
}

static void part_close(idx_part *part)
{
    file_close(&part->images);
    file_close(&part->labels);
    kds_free(part->label);
    part->label = NULL;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

typedef struct idx_folder {
    idx_part train;
    idx_part test;
} idx_folder;

static void folder_close(idx_folder *folder)
{
    part_close(&folder->train);
    part_close(&folder->test);
}

static int32_t largest_label(const idx_part *part)
{
    int32_t largest = -1;
    for (int64_t i = 0; i < part->labels.n_items; i++) {
        largest = part->label[i] > largest ? part->label[i] : largest;
    }
    return largest;
}

static kds_status check_test_labels(const idx_folder *folder, int32_t n_classes, kds_error *err)
{
    const idx_part *test = &folder->test;
    for (int64_t i = 0; i < test->labels.n_items; i++) {
        if (test->label[i] >= n_classes) {
            return kds_error_set(err, KDS_DATA, "The training labels must contain every class.",
                                 "%s: label %d of example %lld, expected 0 .. %d (the labels of %s)", test->labels.path,
                                 test->label[i], (long long)i, n_classes - 1, folder->train.labels.path);
        }
    }
    return KDS_OK;
}

/* Open all four files, read the labels, and find the sizes. The caller closes, also after a failure. */
static kds_status folder_open(const char *path, idx_folder *folder, kds_dataset *shape, kds_error *err)
{
    kds_status status = KDS_OK;
    KDS_TRY(check_folder(path, err));
    KDS_TRY(part_open(path, "train", &folder->train, err));
    KDS_TRY(part_open(path, "t10k", &folder->test, err));
    const idx_file *train = &folder->train.images;
    const idx_file *test = &folder->test.images;
    if (test->n_rows != train->n_rows || test->n_columns != train->n_columns) {
        KDS_FAIL(err, KDS_DATA, "Training and test images must have one size.",
                 "%s: found images of %lld x %lld pixels, expected %lld x %lld as in %s", test->path,
                 (long long)test->n_rows, (long long)test->n_columns, (long long)train->n_rows,
                 (long long)train->n_columns, train->path);
    }
    *shape = (kds_dataset){
        .n_train = train->n_items,
        .n_test = test->n_items,
        .n_features = (int32_t)(train->n_rows * train->n_columns),
        .height = (int32_t)train->n_rows,
        .width = (int32_t)train->n_columns,
        .channels = 1,
        .n_classes = largest_label(&folder->train) + 1,
        .is_u8 = true,
    };
    if (shape->n_train > 0) { /* an empty part has its own message */
        KDS_TRY(check_test_labels(folder, shape->n_classes, err));
    }
out:
    return status;
}

static kds_status probe(const kds_data_spec *spec, kds_dataset *out, kds_error *err)
{
    kds_status status = KDS_OK;
    idx_folder folder = {0};
    KDS_TRY(folder_open(spec->path, &folder, out, err));
out:
    folder_close(&folder);
    return status;
}

static kds_status fill(const kds_data_spec *spec, const kds_data_parts *parts, kds_error *err)
{
    kds_status status = KDS_OK;
    const kds_dataset *shape = &parts->shape;
    idx_folder folder = {0};
    kds_dataset now;
    char names[FILE_PATH_CHARS];
    KDS_TRY(folder_open(spec->path, &folder, &now, err));
    if (now.n_train != shape->n_train || now.n_test != shape->n_test || now.n_features != shape->n_features ||
        now.n_classes != shape->n_classes) {
        KDS_FAIL(err, KDS_DATA, NULL, "%s: changed while it was read", spec->path);
    }
    KDS_TRY(file_read_data(&folder.train.images, parts->x_u8, err));
    KDS_TRY(file_read_data(&folder.test.images, parts->x_u8 + shape->n_train * shape->n_features, err));
    for (int64_t i = 0; i < shape->n_train; i++) {
        parts->label[i] = folder.train.label[i];
    }
    for (int64_t i = 0; i < shape->n_test; i++) {
        parts->label[shape->n_train + i] = folder.test.label[i];
    }
    snprintf(names, sizeof names, "%s/classes.txt", spec->path);
    KDS_TRY(kds_data_names_read(names, "class", parts->class_name, shape->n_classes, err));
out:
    folder_close(&folder);
    return status;
}

const kds_data_source kds_data_source_idx = {.name = "IDX files", .has_path = true, .probe = probe, .fill = fill};
