/*
 * The frame around the two sides: an own communicator, agreement before the first job, and tidying up.
 */
#include "farm_mpi.h"

#include <limits.h>

#include "farm_mpi_wire.h"

/* A rank that cannot begin must tell the others before they wait for it. Collective; the worst status on every rank. */
static kds_status agree(MPI_Comm comm, kds_status mine, kds_farm_report *report, kds_error *err)
{
    kds_status status = mine;
    const int own = (int)mine;
    int worst = own;
    MPI_Request request;
    TRY_MPI(MPI_Iallreduce(&own, &worst, 1, MPI_INT, MPI_MAX, comm, &request));
    KDS_TRY(kds_wire_wait(&request, err));
    status = (kds_status)worst;
    report->transport_failed = false;
    if (mine == KDS_OK && status != KDS_OK) {
        kds_error_set(err, status, NULL, "another rank could not begin: %s", kds_status_words(status));
    }
out:
    return status;
}

kds_status kds_farm_run_mpi(MPI_Comm parent, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                            kds_farm_report *report, kds_error *err)
{
    kds_status status = KDS_OK;
    MPI_Comm comm = MPI_COMM_NULL;
    wire_root *root = NULL;
    wire_worker *worker = NULL;
    int n_ranks = 0;
    int rank = 0;
    *report = (kds_farm_report){.transport_failed = true}; /* until all have agreed to begin */
    TRY_MPI(MPI_Comm_size(parent, &n_ranks));
    if (n_ranks == 1) {
        status = kds_farm_run_loopback(config, callbacks, report, err);
        goto out;
    }
    /* An own communicator: no tag of the farm meets one of its caller's, and errors come back instead of ending the job.
     * Nonblocking, as some ranks may still load their data: who is early sleeps. */
    MPI_Request request;
    TRY_MPI(MPI_Comm_idup(parent, &comm, &request));
    KDS_TRY(kds_wire_wait(&request, err));
    TRY_MPI(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
    TRY_MPI(MPI_Comm_rank(comm, &rank));
    if (config->max_bytes > INT_MAX) {
        status = kds_error_set(err, KDS_UNSUPPORTED, "Store less, or let every rank write its own rows.",
                               "a result of %zu bytes does not fit into one message", config->max_bytes);
    } else if (rank == ROOT) {
        status = kds_wire_root_new(comm, config, callbacks, &root, err);
    } else {
        status = kds_wire_worker_new(comm, config, callbacks, &worker, err);
    }
    KDS_TRY(agree(comm, status, report, err));
    status = rank == ROOT ? kds_wire_root_run(root, report) : kds_wire_worker_run(worker, report);
out:
    /* Where MPI failed, messages may still be on their way: their buffers and their communicator stay, the job ends anyway. */
    if (!report->transport_failed) {
        kds_wire_root_free(root);
        kds_wire_worker_free(worker);
        if (comm != MPI_COMM_NULL && MPI_Comm_free(&comm) != MPI_SUCCESS && status == KDS_OK) {
            status = kds_error_set(err, KDS_IO, NULL, "the farm's communicator could not be freed");
        }
    }
    return status;
}
