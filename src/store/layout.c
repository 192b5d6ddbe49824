/*
 * The layout: every variable, scale and attribute of a results file, from the table and a kds_layout.
 *
 * The file stays in HDF5's oldest format (superblock 0): it has no mark of being open for writing, so a killed writer leaves
 * nothing behind that a reader would stumble over. Times of objects are not recorded: equal layouts give equal bytes.
 */
#include "layout.h"

#include <hdf5_hl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kdsweep/arena.h"
#include "store_hdf5.h"

/* What a file under construction needs everywhere. */
typedef struct draft {
    hid_t file;
    const kds_layout *layout;
    kds_form form;
    hid_t scales[KDS_DIM_HOST_CHAR + 1];
    int32_t n_scales; /* so far */
} draft;

/* The variable that a coordinate becomes. */
static kds_variable variable_of(const kds_coordinate *coordinate)
{
    return (kds_variable){
        .name = coordinate->name,
        .type = coordinate->is_text      ? KDS_TYPE_WORD
                : coordinate->is_integer ? KDS_TYPE_INT64
                                         : KDS_TYPE_FLOAT64,
        .dims = {KDS_DIM_TRIAL},
        .origin = KDS_FROM_COORDINATE,
        .is_coordinate = true,
        .units = coordinate->units,
        .long_name = coordinate->meaning,
    };
}

static bool is_scale(const kds_variable *variable)
{
    return variable->dims[0] != KDS_DIM_END && variable->dims[1] == KDS_DIM_END &&
           strcmp(variable->name, kds_dimension_name(variable->dims[0])) == 0;
}

/* ---- attributes ------------------------------------------------------------------------------------------------------ */

static kds_status put_int32(hid_t object, const char *name, int32_t value, kds_error *err)
{
    return kds_hdf5_put_numbers(object, name, KDS_TYPE_INT32, 1, &value, err);
}

/* flag_values and flag_meanings, as CF has them. */
static kds_status put_flags(hid_t dataset, const char *const *words, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_text meanings = {0};
    int8_t values[16];
    int n = 0;
    for (; words[n] != NULL; n++) {
        KDS_ASSERT(n < (int)sizeof values);
        values[n] = (int8_t)n;
        kds_text_addf(&meanings, "%s%s", n > 0 ? " " : "", words[n]);
    }
    KDS_TRY(kds_hdf5_put_numbers(dataset, "flag_values", KDS_TYPE_INT8, n, values, err));
    KDS_TRY(kds_hdf5_put_text(dataset, "flag_meanings", kds_text_string(&meanings), err));
out:
    kds_text_clear(&meanings);
    return status;
}

static kds_status put_attributes(const draft *made, const kds_variable *variable, hid_t dataset, kds_error *err)
{
    kds_status status = KDS_OK;
    const kds_type type = kds_variable_type(variable, &made->form);
    if (variable->long_name != NULL && variable->long_name[0] != '\0') {
        KDS_TRY(kds_hdf5_put_text(dataset, "long_name", variable->long_name, err));
    }
    if (variable->units != NULL && variable->units[0] != '\0') {
        KDS_TRY(kds_hdf5_put_text(dataset, "units", variable->units, err));
    }
    /* Not for integers: xarray would make floats of them. They say `undefined` instead. */
    if (type == KDS_TYPE_FLOAT32 && variable->origin != KDS_FROM_NOTHING) {
        const float none = NAN;
        KDS_TRY(kds_hdf5_put_numbers(dataset, "_FillValue", type, 1, &none, err));
    } else if (type == KDS_TYPE_FLOAT64) {
        const double none = (double)NAN;
        KDS_TRY(kds_hdf5_put_numbers(dataset, "_FillValue", type, 1, &none, err));
    } else if (type == KDS_TYPE_CHARACTER) {
        KDS_TRY(kds_hdf5_put_text(dataset, "_Encoding", "utf-8", err));
    }
    if (variable->has_undefined) {
        const int64_t none = kds_variable_undefined(variable, &made->form);
        KDS_TRY(none > INT32_MAX ? kds_hdf5_put_numbers(dataset, "undefined", KDS_TYPE_INT64, 1, &none, err)
                                 : put_int32(dataset, "undefined", (int32_t)none, err));
    }
    if (variable->words != NULL && variable->origin != KDS_FROM_WORDS) {
        KDS_TRY(put_flags(dataset, variable->words, err));
    }
    if (variable->is_timing) {
        KDS_TRY(put_int32(dataset, "timing", 1, err));
    }
    if (variable->is_bulky) {
        KDS_TRY(put_int32(dataset, "bulky", 1, err));
    }
out:
    return status;
}

/* Names of everything that xarray shall treat as a coordinate. */
static void list_coordinates(const draft *made, kds_text *names)
{
    int n_variables = 0;
    const kds_variable *variables = kds_schema(&n_variables);
    for (int i = 0; i < n_variables; i++) {
        if (variables[i].is_coordinate && kds_variable_is_stored(&variables[i], &made->form)) {
            kds_text_addf(names, "%s%s", names->size > 0 ? " " : "", variables[i].name);
        }
    }
    for (int i = 0; i < made->layout->n_coordinates; i++) {
        kds_text_addf(names, " %s", made->layout->coordinates[i].name);
    }
}

static kds_status put_root_attributes(const draft *made, const char *history, kds_error *err)
{
    kds_status status = KDS_OK;
    const kds_layout *layout = made->layout;
    kds_text coordinates = {0};
    char fingerprint[KDS_ID_CHARS];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)layout->data_fingerprint);
    list_coordinates(made, &coordinates);

    const struct {
        const char *name, *text;
    } texts[] = {
        {"Conventions", "CF-1.10"},
        {"title", layout->title},
        {"history", history},
        {"coordinates", kds_text_string(&coordinates)},
        {"axes", layout->axes},
        {"data_fingerprint", fingerprint},
        {"kdsweep_version", layout->version},
        {"compiler", layout->compiler},
        {"isa", layout->isa},
        {"blas", layout->blas},
        {"mpi", layout->mpi},
        {"hosts", layout->hosts},
        {"command", layout->command},
        /* What may differ between two files of the same sweep; whoever compares files skips these, and timing variables. */
        {"volatile_attributes", "history kdsweep_version compiler mpi hosts command n_ranks"},
    };
    KDS_TRY(put_int32(made->file, "kdsweep_schema", KDS_SCHEMA_VERSION, err));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        KDS_TRY(kds_hdf5_put_text(made->file, texts[i].name, texts[i].text, err));
    }
    KDS_TRY(put_int32(made->file, "n_ranks", layout->n_ranks, err));
    KDS_TRY(kds_hdf5_put_numbers(made->file, "n_validation", KDS_TYPE_INT64, 1, &layout->shape.n_validation, err));

out:
    kds_text_clear(&coordinates);
    return status;
}

/* ---- variables ------------------------------------------------------------------------------------------------------- */

static hid_t creation_properties(const draft *made, const kds_variable *variable, kds_type type)
{
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (properties < 0) {
        return H5I_INVALID_HID;
    }
    bool ok = H5Pset_layout(properties, H5D_CONTIGUOUS) >= 0 && H5Pset_obj_track_times(properties, false) >= 0;
    if (variable->origin != KDS_FROM_NOTHING) {
        ok = ok && H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) >= 0;
    }
    if (kds_variable_is_column(variable) && !variable->is_bulky) {
        /* The first value of a row that nobody wrote is that of all. */
        unsigned char *row = kds_alloc((size_t)kds_variable_n_items(variable, &made->form), kds_type_size(type), NULL);
        ok = ok && row != NULL;
        if (ok) {
            kds_variable_pack_unwritten(variable, &made->form, row);
            ok = H5Pset_fill_value(properties, kds_hdf5_memory_type(type), row) >= 0 &&
                 H5Pset_fill_time(properties, H5D_FILL_TIME_ALLOC) >= 0;
        }
        kds_free(row);
    } else if (type != KDS_TYPE_WORD && variable->origin != KDS_FROM_NOTHING) {
        /* Static values are written at once; bulky columns stay a hole in the file. (Words insist on being filled.) */
        ok = ok && H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0;
    }
    if (!ok) {
        H5Pclose(properties);
        return H5I_INVALID_HID;
    }
    return properties;
}

/* Write words one and all. */
static kds_status write_words(hid_t dataset, hid_t type, const char *const *words, kds_error *err)
{
    return H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, words) < 0
               ? kds_hdf5_error_set(err, KDS_IO, NULL, "cannot write words")
               : KDS_OK;
}

static kds_status write_ids(hid_t dataset, hid_t type, const kds_layout *layout, kds_error *err)
{
    kds_status status = KDS_OK;
    const size_t n = (size_t)layout->n_trials;
    char(*digits)[KDS_ID_CHARS] = kds_alloc(n, sizeof *digits, err);
    const char **words = kds_alloc(n, sizeof *words, err);
    if (digits == NULL || words == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        words[i] = kds_trial_id_to_text(layout->spec_id[i], digits[i]);
    }
    KDS_TRY(write_words(dataset, type, words, err));
out:
    kds_free(words);
    kds_free(digits);
    return status;
}

static kds_status write_index(hid_t dataset, int64_t n, int32_t first, kds_error *err)
{
    kds_status status = KDS_OK;
    int32_t *index = kds_alloc((size_t)n, sizeof *index, err);
    if (index == NULL) {
        return KDS_MEMORY;
    }
    for (int64_t i = 0; i < n; i++) {
        index[i] = (int32_t)i + first;
    }
    if (H5Dwrite(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, index) < 0) {
        KDS_HDF5_FAIL(err, KDS_IO, NULL, "cannot write an index");
    }
out:
    kds_free(index);
    return status;
}

/* Write the values of a static variable; a column stays as it is. */
static kds_status write_values(const draft *made, const kds_variable *variable, const kds_coordinate *coordinate,
                               hid_t dataset, hid_t type, kds_error *err)
{
    const kds_layout *layout = made->layout;
    const void *values = NULL;
    switch (variable->origin) {
    case KDS_FROM_ID:
        return write_ids(dataset, type, layout, err);
    case KDS_FROM_INDEX:
        return write_index(dataset, kds_variable_n_items(variable, &made->form), variable->undefined, err);
    case KDS_FROM_WORDS:
        return write_words(dataset, type, variable->words, err);
    case KDS_FROM_LAYOUT:
        memcpy(&values, (const char *)layout + variable->offset, sizeof values);
        break;
    case KDS_FROM_COORDINATE:
        values = coordinate->is_text      ? (const void *)coordinate->words
                 : coordinate->is_integer ? (const void *)coordinate->integers
                                          : (const void *)coordinate->numbers;
        break;
    default:
        return KDS_OK;
    }
    KDS_ASSERT(values != NULL);
    const bool has_own_type = variable->type == KDS_TYPE_WORD || variable->type == KDS_TYPE_TEXT;
    const hid_t memory_type = has_own_type ? type : kds_hdf5_memory_type(variable->type);
    return H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0
               ? kds_hdf5_error_set(err, KDS_IO, NULL, "cannot write '%s'", variable->name)
               : KDS_OK;
}

/* Make the data set a scale, or attach the scales of its dimensions. */
static kds_status put_dimensions(const draft *made, const kds_variable *variable, hid_t dataset, kds_error *err)
{
    kds_status status = KDS_OK;
    if (is_scale(variable)) {
        /* netCDF numbers its dimensions without gaps; with the numbers it needs not search. */
        const int32_t id = made->n_scales;
        char name[128];
        snprintf(name, sizeof name, "%s", variable->name);
        if (variable->origin == KDS_FROM_NOTHING) {
            /* The words by which netCDF knows a dimension that has no coordinate. */
            snprintf(name, sizeof name, "This is a netCDF dimension but not a netCDF variable.%10lld",
                     (long long)kds_dimension_size(variable->dims[0], &made->form));
        }
        if (H5DSset_scale(dataset, name) < 0) {
            KDS_HDF5_FAIL(err, KDS_IO, NULL, "cannot make '%s' a dimension scale", variable->name);
        }
        KDS_TRY(put_int32(dataset, "_Netcdf4Dimid", id, err));
        goto out;
    }
    for (int i = 0; variable->dims[i] != KDS_DIM_END; i++) {
        if (H5DSattach_scale(dataset, made->scales[variable->dims[i]], (unsigned)i) < 0) {
            KDS_HDF5_FAIL(err, KDS_IO, NULL, "cannot attach '%s' to '%s'", kds_dimension_name(variable->dims[i]),
                          variable->name);
        }
    }
out:
    return status;
}

static kds_status add_variable(draft *made, const kds_variable *variable, const kds_coordinate *coordinate,
                               kds_error *err)
{
    kds_status status = KDS_OK;
    hid_t own_type = H5I_INVALID_HID;
    hid_t space = H5I_INVALID_HID;
    hid_t properties = H5I_INVALID_HID;
    hid_t dataset = H5I_INVALID_HID;
    const kds_type type = kds_variable_type(variable, &made->form);
    if (type == KDS_TYPE_WORD) {
        own_type = kds_hdf5_string_type(H5T_VARIABLE);
    } else if (type == KDS_TYPE_TEXT) {
        const char *text = NULL;
        memcpy(&text, (const char *)made->layout + variable->offset, sizeof text);
        own_type = kds_hdf5_string_type(strlen(text) + 1);
    }
    const hid_t file_type = own_type >= 0 ? own_type : kds_hdf5_file_type(type);

    const int n_dims = kds_variable_n_dims(variable);
    hsize_t dims[KDS_MAX_RANK];
    for (int i = 0; i < n_dims; i++) {
        dims[i] = (hsize_t)kds_dimension_size(variable->dims[i], &made->form);
    }
    space = n_dims == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(n_dims, dims, NULL);
    properties = creation_properties(made, variable, type);
    if (space < 0 || properties < 0) {
        KDS_HDF5_FAIL(err, KDS_MEMORY, NULL, "cannot make the variable '%s'", variable->name);
    }
    dataset = H5Dcreate2(made->file, variable->name, file_type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (dataset < 0) {
        KDS_HDF5_FAIL(err, KDS_IO, NULL, "cannot make the variable '%s'", variable->name);
    }
    KDS_TRY(write_values(made, variable, coordinate, dataset, file_type, err));
    KDS_TRY(put_dimensions(made, variable, dataset, err));
    KDS_TRY(put_attributes(made, variable, dataset, err));
    if (is_scale(variable)) {
        made->n_scales++;
        made->scales[variable->dims[0]] = dataset; /* open until every variable is attached */
        dataset = H5I_INVALID_HID;
    }

out:
    if (dataset >= 0) {
        H5Dclose(dataset);
    }
    if (properties >= 0) {
        H5Pclose(properties);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    if (own_type >= 0) {
        H5Tclose(own_type);
    }
    return status;
}

/* ---- the file -------------------------------------------------------------------------------------------------------- */

static kds_status create_file(const char *path, hid_t *file, kds_error *err)
{
    kds_status status = KDS_OK;
    *file = H5I_INVALID_HID;
    const hid_t access = kds_hdf5_access();
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    /* netCDF lists variables in the order of creation, and only writes to files that keep it. */
    if (access < 0 || creation < 0 ||
        H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) < 0 ||
        H5Pset_obj_track_times(creation, false) < 0) {
        KDS_HDF5_FAIL(err, KDS_MEMORY, NULL, "cannot make '%s'", path);
    }
    *file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    if (*file < 0) {
        KDS_HDF5_FAIL(err, KDS_IO, "Is the folder writable?", "cannot make '%s'", path);
    }
out:
    if (creation >= 0) {
        H5Pclose(creation);
    }
    if (access >= 0) {
        H5Pclose(access);
    }
    return status;
}

kds_status kds_layout_write(const char *path, const kds_layout *layout, const char *history, kds_error *err)
{
    kds_status status = KDS_OK;
    draft made = {.file = H5I_INVALID_HID, .layout = layout, .form = kds_form_of_layout(layout)};
    for (size_t i = 0; i < sizeof made.scales / sizeof made.scales[0]; i++) {
        made.scales[i] = H5I_INVALID_HID;
    }
    kds_hdf5_start();
    KDS_TRY(create_file(path, &made.file, err));
    KDS_TRY(put_root_attributes(&made, history, err));

    int n_variables = 0;
    const kds_variable *variables = kds_schema(&n_variables);
    for (int i = 0; i < n_variables; i++) {
        if (kds_variable_is_stored(&variables[i], &made.form)) {
            KDS_TRY(add_variable(&made, &variables[i], NULL, err));
        }
    }
    for (int i = 0; i < layout->n_coordinates; i++) {
        const kds_variable variable = variable_of(&layout->coordinates[i]);
        KDS_TRY(add_variable(&made, &variable, &layout->coordinates[i], err));
    }

out:
    for (size_t i = 0; i < sizeof made.scales / sizeof made.scales[0]; i++) {
        if (made.scales[i] >= 0) {
            H5Dclose(made.scales[i]);
        }
    }
    if (made.file >= 0 && H5Fclose(made.file) < 0 && status == KDS_OK) {
        status = kds_hdf5_error_set(err, KDS_IO, NULL, "cannot write '%s'", path);
    }
    return status;
}

/* ---- sizes ----------------------------------------------------------------------------------------------------------- */

/* A word takes a reference of 16 bytes, and in HDF5's heap a head of 16 bytes and its own bytes up to a multiple of 8. Heaps come in
 * pieces of 4096 bytes that words fill but for a rest. */
static double word_bytes(const char *word)
{
    const size_t length = word != NULL ? strlen(word) : 0;
    return 16.0 + (length > 0 ? 16.0 + (double)((length + 7) / 8 * 8) : 0.0) * 4096.0 / 4064.0;
}

/* `words` may be NULL while only sizes are known. */
static double words_bytes(const char *const *words, int64_t n_words)
{
    double n_bytes = 0;
    for (int64_t i = 0; i < n_words; i++) {
        n_bytes += word_bytes(words != NULL ? words[i] : "a name");
    }
    return n_bytes;
}

static double variable_bytes(const kds_variable *variable, const kds_coordinate *coordinate, const kds_layout *layout,
                             const kds_form *form)
{
    const int64_t n_items = kds_variable_n_items(variable, form);
    const void *values = NULL;
    if (variable->origin == KDS_FROM_LAYOUT) {
        memcpy(&values, (const char *)layout + variable->offset, sizeof values);
    }
    switch (variable->origin) {
    case KDS_FROM_NOTHING:
        return 0;
    case KDS_FROM_ID:
        return (double)n_items * word_bytes("0123456789abcdef");
    case KDS_FROM_WORDS:
        return words_bytes(variable->words, n_items);
    case KDS_FROM_LAYOUT:
        if (variable->type == KDS_TYPE_TEXT) {
            return values != NULL ? (double)strlen(values) + 1 : 0;
        }
        if (variable->type == KDS_TYPE_WORD) {
            return words_bytes(values, n_items);
        }
        break;
    case KDS_FROM_COORDINATE:
        if (coordinate->is_text) {
            return words_bytes(coordinate->words, n_items);
        }
        break;
    default:
        break;
    }
    const double n_rows = kds_variable_is_column(variable) ? form->n_trials : 1;
    return n_rows * (double)n_items * (double)kds_type_size(kds_variable_type(variable, form));
}

double kds_store_bytes(const kds_layout *layout, void (*each)(void *context, const char *variable, double bytes),
                       void *context)
{
    const kds_form form = kds_form_of_layout(layout);
    double total = 0;
    int n_variables = 0;
    const kds_variable *variables = kds_schema(&n_variables);
    for (int i = 0; i < n_variables + layout->n_coordinates; i++) {
        const kds_coordinate *coordinate = i >= n_variables ? &layout->coordinates[i - n_variables] : NULL;
        const kds_variable variable = coordinate != NULL ? variable_of(coordinate) : variables[i];
        if (!kds_variable_is_stored(&variable, &form)) {
            continue;
        }
        const double n_bytes = variable_bytes(&variable, coordinate, layout, &form);
        if (each != NULL) {
            each(context, variable.name, n_bytes);
        }
        /* Object header, attributes, its place in the lists of the scales. */
        total += n_bytes + 1024;
    }
    return total;
}
