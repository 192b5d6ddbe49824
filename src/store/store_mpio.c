/*
 * Many ranks, one file. A failure of one rank inside a collective call of HDF5 would leave the others waiting, so the ranks look
 * first, agree that all of them may go on, and only then open; and they agree again on what came of it.
 */
#include "store_mpio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kdsweep/arena.h"
#include "store_file.h"

typedef struct twin {
    MPI_Comm communicator; /* our own duplicate, which returns errors */
} twin;

static kds_status check_mpi(int code, const char *what, kds_error *err)
{
    if (code == MPI_SUCCESS) {
        return KDS_OK;
    }
    char words[MPI_MAX_ERROR_STRING] = "";
    int n_words = 0;
    MPI_Error_string(code, words, &n_words);
    return kds_error_set(err, KDS_IO, NULL, "%s failed: %s", what, words);
}

/* All ranks get the status of the lowest rank that failed, and its record; KDS_OK when none did. */
static kds_status agree(MPI_Comm communicator, kds_status mine, kds_error *err)
{
    kds_status status = KDS_OK;
    int rank = 0;
    int n_ranks = 1;
    KDS_TRY(check_mpi(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank", err));
    KDS_TRY(check_mpi(MPI_Comm_size(communicator, &n_ranks), "MPI_Comm_size", err));
    int failed = mine != KDS_OK ? rank : n_ranks;
    KDS_TRY(check_mpi(MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MIN, communicator), "MPI_Allreduce", err));
    if (failed == n_ranks) {
        return KDS_OK;
    }
    kds_error shared = KDS_ERROR_INIT;
    if (rank == failed) {
        shared = err != NULL ? *err : shared;
        shared.status = mine;
    }
    KDS_TRY(check_mpi(MPI_Bcast(&shared, (int)sizeof shared, MPI_BYTE, failed, communicator), "MPI_Bcast", err));
    status = shared.status;
    if (mine == KDS_OK) {
        kds_error_set(err, shared.status, shared.hint, "rank %d: %s", failed, shared.message);
    }
out:
    return status;
}

/* What can be seen without opening: the file is there for this rank, and may be written. */
static kds_status look(const char *path, kds_error *err)
{
    struct stat about;
    if (stat(path, &about) != 0 || access(path, R_OK | W_OK) != 0) {
        const int why = errno;
        char host[64] = "this machine";
        gethostname(host, sizeof host - 1);
        return kds_error_set_errno(err, KDS_IO, why,
                                   "All ranks need to see the same folder: put the output on a shared file system.",
                                   "cannot open '%s' for writing on %s", path, host);
    }
    return KDS_OK;
}

static kds_status make_access(MPI_Comm communicator, hid_t *file_access, kds_error *err)
{
    kds_status status = KDS_OK;
    MPI_Info info = MPI_INFO_NULL;
    *file_access = kds_hdf5_access();
    KDS_TRY(check_mpi(MPI_Info_create(&info), "MPI_Info_create", err));
    /* ROMIO may write by reading and writing back more than it was given, which would undo a neighbour's row. Our rows are
     * contiguous, so that it has no reason to; this takes away the possibility. Other implementations ignore the hint. */
    KDS_TRY(check_mpi(MPI_Info_set(info, "romio_ds_write", "disable"), "MPI_Info_set", err));
    if (*file_access < 0 || H5Pset_fapl_mpio(*file_access, communicator, info) < 0) {
        KDS_HDF5_FAIL(err, KDS_IO, NULL, "HDF5 cannot use MPI-IO");
    }
out:
    if (info != MPI_INFO_NULL) {
        MPI_Info_free(&info);
    }
    return status;
}

static kds_status finish(void *pointer, kds_status status, kds_error *err)
{
    twin *mine = pointer;
    status = agree(mine->communicator, status, err);
    MPI_Comm_free(&mine->communicator);
    kds_free(mine);
    return status;
}

kds_status kds_store_open_mpi(const char *path, const kds_layout *layout, kds_store_communicator communicator,
                              kds_store **out, kds_error *err)
{
    kds_status status = KDS_OK;
    hid_t file_access = H5I_INVALID_HID;
    hid_t file = H5I_INVALID_HID;
    kds_store *store = NULL;
    twin *kept = NULL;
    MPI_Comm own = MPI_COMM_NULL;
    *out = NULL;
    kds_hdf5_start();
    KDS_TRY(check_mpi(MPI_Comm_dup(communicator, &own), "MPI_Comm_dup", err));
    KDS_TRY(check_mpi(MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", err));

    kds_status mine = look(path, err);
    KDS_TRY(agree(own, mine, err));
    mine = make_access(own, &file_access, err); /* collective: HDF5 duplicates the communicator */
    KDS_TRY(agree(own, mine, err));

    file = H5Fopen(path, H5F_ACC_RDWR, file_access);
    mine = file >= 0 ? KDS_OK : kds_hdf5_error_set(err, KDS_IO, NULL, "cannot open '%s' with MPI-IO", path);
    status = agree(own, mine, err);
    if (status != KDS_OK) {
        /* Should some ranks have it open and others not, closing would wait for the others for ever: leave it open. */
        file = H5I_INVALID_HID;
        goto out;
    }

    /* From here on every rank has the file open, and all close it together, after they have agreed. */
    kept = kds_alloc(1, sizeof *kept, err);
    mine = kept != NULL ? kds_hdf5_check_schema(file, path, err) : KDS_MEMORY;
    if (mine == KDS_OK) {
        mine = kds_store_of_file(file, layout, &store, err);
    }
    if (store != NULL) {
        file = H5I_INVALID_HID;
    }
    KDS_TRY(agree(own, mine, err));
    *kept = (twin){.communicator = own};
    store->finish = finish;
    store->twin = kept;
    *out = store;
    own = MPI_COMM_NULL;
    kept = NULL;
    store = NULL;

out:
    kds_store_close(store, NULL);
    if (file >= 0) {
        H5Fclose(file);
    }
    if (file_access >= 0) {
        H5Pclose(file_access);
    }
    if (own != MPI_COMM_NULL) {
        MPI_Comm_free(&own);
    }
    kds_free(kept);
    return status;
}
