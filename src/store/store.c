/*
 * Writing rows, alone: the serial driver of HDF5, without buffers.
 */
#include "kdsweep/store.h"

#include "kdsweep/arena.h"
#include "store_file.h"

kds_status kds_store_of_file(hid_t file, const kds_layout *layout, kds_store **out, kds_error *err)
{
    kds_status status = KDS_OK;
    *out = NULL;
    kds_store *store = kds_alloc(1, sizeof *store, err);
    if (store == NULL) {
        return KDS_MEMORY;
    }
    store->file = file;
    const kds_form form = kds_form_of_layout(layout);
    KDS_TRY(kds_rows_open(file, &form, 1, &store->rows, err));
    *out = store;
    store = NULL;
out:
    kds_free(store);
    return status;
}

kds_status kds_store_open(const char *path, const kds_layout *layout, kds_store **out, kds_error *err)
{
    kds_status status = KDS_OK;
    hid_t file = H5I_INVALID_HID;
    *out = NULL;
    KDS_TRY(kds_hdf5_open(path, H5F_ACC_RDWR, &file, err));
    KDS_TRY(kds_store_of_file(file, layout, out, err));
    file = H5I_INVALID_HID;
out:
    if (file >= 0) {
        H5Fclose(file);
    }
    return status;
}

kds_status kds_store_write_row(kds_store *store, int32_t i_trial, const kds_trial_result *result, kds_error *err)
{
    const kds_result_shape *shape = &store->rows.form.shape;
    KDS_ASSERT(i_trial >= 0 && i_trial < store->rows.form.n_trials);
    KDS_ASSERT(result->shape.n_classes == shape->n_classes && result->shape.n_groups == shape->n_groups &&
               result->shape.n_epochs == shape->n_epochs && result->shape.n_test == shape->n_test);
    KDS_ASSERT(result->status > KDS_TRIAL_MISSING && result->status <= KDS_TRIAL_FAILED);
    kds_rows_put(&store->rows, 0, result);
    return kds_rows_write(&store->rows, i_trial, 1, err);
}

kds_status kds_store_forget_row(kds_store *store, int32_t i_trial, kds_error *err)
{
    KDS_ASSERT(i_trial >= 0 && i_trial < store->rows.form.n_trials);
    const uint8_t missing = KDS_TRIAL_MISSING;
    return kds_column_write(kds_rows_column(&store->rows, "status"), i_trial, 1, &missing, err);
}

kds_status kds_store_close(kds_store *store, kds_error *err)
{
    kds_status status = KDS_OK;
    if (store == NULL) {
        return KDS_OK;
    }
    kds_rows_close(&store->rows);
    if (H5Fclose(store->file) < 0) {
        status = kds_hdf5_error_set(err, KDS_IO, NULL, "cannot close the results file");
    }
    if (store->finish != NULL) {
        status = store->finish(store->twin, status, err);
    }
    kds_free(store);
    return status;
}
