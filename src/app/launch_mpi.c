/* Many ranks: the MPI twin of launch_serial.c. Started without a launcher it is one rank and MPI is not initialised. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "farm_mpi.h"
#include "kdsweep/arena.h"
#include "launch.h"
#include "shared_block.h"
#include "store_mpio.h"

struct kds_launch {
    bool with_mpi;
    MPI_Comm world, node; /* only with_mpi */
    int rank, n_ranks, n_ranks_of_node;
    kds_shared_block data;
};

static kds_status check(int code, const char *call, kds_error *err)
{
    if (code == MPI_SUCCESS) {
        return KDS_OK;
    }
    char words[MPI_MAX_ERROR_STRING] = "";
    int n_words = 0;
    MPI_Error_string(code, words, &n_words);
    return kds_error_set(err, KDS_IO, NULL, "%s failed: %s", call, words);
}

/* Every MPI call goes through this. */
#define TRY_MPI(call) KDS_TRY(check(call, #call, err))

/* What the launchers of Open MPI, PMIx, MPICH, Intel MPI and Slurm tell their processes. */
static const char *const rank_variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"};

static const char *launcher_rank(void)
{
    for (size_t i = 0; i < sizeof rank_variables / sizeof rank_variables[0]; i++) {
        const char *rank = getenv(rank_variables[i]);
        if (rank) {
            return rank;
        }
    }
    return NULL;
}

int kds_launch_rank_hint(void)
{
    const char *rank = launcher_rank();
    return rank ? atoi(rank) : 0;
}

kds_status kds_launch_new(bool alone, kds_launch **out, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_launch *launch = kds_alloc(1, sizeof *launch, err);
    *out = launch;
    if (!launch) {
        return KDS_MEMORY;
    }
    *launch = (kds_launch){.n_ranks = 1, .n_ranks_of_node = 1, .data = KDS_SHARED_BLOCK_INIT};
    launch->world = launch->node = MPI_COMM_NULL;
    if (alone || !launcher_rank()) {
        return KDS_OK;
    }
    TRY_MPI(MPI_Init(NULL, NULL));
    launch->with_mpi = true;
    TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &launch->world));
    TRY_MPI(MPI_Comm_set_errhandler(launch->world, MPI_ERRORS_RETURN));
    TRY_MPI(MPI_Comm_rank(launch->world, &launch->rank));
    TRY_MPI(MPI_Comm_size(launch->world, &launch->n_ranks));
    TRY_MPI(MPI_Comm_split_type(launch->world, MPI_COMM_TYPE_SHARED, launch->rank, MPI_INFO_NULL, &launch->node));
    TRY_MPI(MPI_Comm_set_errhandler(launch->node, MPI_ERRORS_RETURN));
    TRY_MPI(MPI_Comm_size(launch->node, &launch->n_ranks_of_node));
out:
    return status;
}

int kds_launch_rank(const kds_launch *launch)
{
    return launch->rank;
}

int kds_launch_n_ranks(const kds_launch *launch)
{
    return launch->n_ranks;
}

const char *kds_launch_library(void)
{
    static char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int n_chars = 0;
    if (MPI_Get_library_version(version, &n_chars) != MPI_SUCCESS) {
        return "MPI";
    }
    version[strcspn(version, ",\n")] =
        '\0'; /* Open MPI: the first of several comma-separated facts; MPICH: the first of several lines */
    for (char *c = version; *c; c++) {
        *c = *c == '\t' ? ' ' : *c;
    }
    return version;
}

kds_status kds_launch_agree(kds_launch *launch, kds_status status, kds_error *err)
{
    if (!launch->with_mpi) {
        return status;
    }
    kds_status agreed = status;
    struct {
        int failed_rank, rank;
    } mine = {status == KDS_OK ? launch->n_ranks : launch->rank, launch->rank}, first;
    TRY_MPI(MPI_Allreduce(&mine, &first, 1, MPI_2INT, MPI_MINLOC, launch->world));
    if (first.failed_rank < launch->n_ranks) {
        kds_error told = *err;
        told.status = agreed; /* a failure without a record is one all the same */
        TRY_MPI(MPI_Bcast(&told, (int)sizeof told, MPI_BYTE, first.failed_rank, launch->world));
        *err = told;
        agreed = told.status;
    }
    status = agreed;
out:
    return status;
}

kds_status kds_launch_broadcast(kds_launch *launch, void **bytes, size_t *n_bytes, kds_error *err)
{
    kds_status status = KDS_OK;
    if (!launch->with_mpi) {
        return KDS_OK;
    }
    unsigned long long size = *n_bytes;
    TRY_MPI(MPI_Bcast(&size, 1, MPI_UNSIGNED_LONG_LONG, 0, launch->world));
    if (launch->rank != 0) {
        *n_bytes = (size_t)size;
        *bytes = kds_alloc(1, *n_bytes + 1, err); /* one more, zero, so that texts end */
    }
    KDS_TRY(kds_launch_agree(launch, *bytes ? KDS_OK : KDS_MEMORY, err));
    const size_t piece = (size_t)1 << 30; /* a count is an int */
    for (size_t at = 0; at < *n_bytes; at += piece) {
        size_t n = *n_bytes - at < piece ? *n_bytes - at : piece;
        TRY_MPI(MPI_Bcast((char *)*bytes + at, (int)n, MPI_BYTE, 0, launch->world));
    }
out:
    return status;
}

kds_status kds_launch_hosts(kds_launch *launch, kds_text *out, kds_error *err)
{
    kds_status status = KDS_OK;
    char host[KDS_HOST_CHARS] = "localhost";
    char(*hosts)[KDS_HOST_CHARS] = NULL;
    gethostname(host, sizeof host - 1);
    if (!launch->with_mpi) {
        kds_text_addf(out, "%s (1)", host);
        return KDS_OK;
    }
    if (launch->rank == 0) {
        hosts = kds_alloc((size_t)launch->n_ranks, sizeof *hosts, err);
    }
    KDS_TRY(kds_launch_agree(launch, launch->rank != 0 || hosts ? KDS_OK : KDS_MEMORY, err));
    TRY_MPI(MPI_Gather(host, KDS_HOST_CHARS, MPI_CHAR, hosts, KDS_HOST_CHARS, MPI_CHAR, 0, launch->world));
    for (int i = 0; hosts && i < launch->n_ranks; i++) {
        int n = 0;
        bool told = false;
        for (int j = 0; j < launch->n_ranks; j++) {
            if (strcmp(hosts[i], hosts[j]) == 0) {
                n++;
                told |= j < i;
            }
        }
        if (!told) {
            kds_text_addf(out, "%s%s (%d)", out->size > 0 ? ", " : "", hosts[i], n);
        }
    }
out:
    kds_free(hosts);
    return status;
}

kds_status kds_launch_crowding(kds_launch *launch, int *n_ranks_of_node, kds_error *err)
{
    kds_status status = KDS_OK;
    *n_ranks_of_node = launch->n_ranks_of_node;
    if (launch->with_mpi) {
        TRY_MPI(MPI_Allreduce(&launch->n_ranks_of_node, n_ranks_of_node, 1, MPI_INT, MPI_MAX, launch->world));
    }
out:
    return status;
}

/* Every node has loaded for itself: a stale copy on one of them must not mix into the rows. */
static kds_status check_same_data(kds_launch *launch, const kds_dataset *dataset, kds_error *err)
{
    kds_status status = KDS_OK;
    unsigned long long first = dataset->fingerprint;
    TRY_MPI(MPI_Bcast(&first, 1, MPI_UNSIGNED_LONG_LONG, 0, launch->world));
    if (first != dataset->fingerprint) {
        char host[KDS_HOST_CHARS] = "another host";
        gethostname(host, sizeof host - 1);
        status = kds_error_set(err, KDS_DATA, "give all nodes the same files",
                               "the data that %s has under this path are not those of rank 0's host", host);
    }
    status = kds_launch_agree(launch, status, err);
out:
    return status;
}

kds_status kds_launch_dataset(kds_launch *launch, const kds_data_spec *spec, const kds_log *log, kds_dataset *out,
                              kds_error *err)
{
    kds_status status = KDS_OK;
    void *block = NULL;
    int node_rank = 0;
    struct {
        unsigned long long size;
        char name[KDS_SHARED_NAME_CHARS];
    } shared = {0, ""};
    size_t size = 0;
    double n_copies = 0;
    if (launch->with_mpi) {
        TRY_MPI(MPI_Comm_rank(launch->node, &node_rank));
    }
    if (node_rank == 0) {
        status = kds_dataset_load(spec, kds_shared_block_allocate, &launch->data, &block, &size, err);
        if (status == KDS_OK) {
            kds_shared_block_seal(&launch->data);
            kds_shared_block_name(&launch->data, shared.name);
            shared.size = size;
            status = kds_dataset_view(block, size, out, err);
        }
    }
    KDS_TRY(kds_launch_agree(launch, status, err));
    if (!launch->with_mpi) {
        return KDS_OK;
    }
    TRY_MPI(MPI_Bcast(&shared, (int)sizeof shared, MPI_BYTE, 0, launch->node));
    if (node_rank != 0) {
        size = (size_t)shared.size;
        status = shared.name[0] ? kds_shared_block_attach(&launch->data, shared.name, size, NULL) : KDS_IO;
        if (status == KDS_OK) {
            status = kds_dataset_view(launch->data.base, size, out, NULL);
        }
        if (status != KDS_OK) { /* separate process namespaces, say: correct, only not frugal */
            n_copies = 1;
            kds_shared_block_clear(&launch->data);
            status = kds_dataset_load(spec, kds_data_allocate_heap, NULL, &block, &size, err);
            launch->data = (kds_shared_block){-1, block, size};
            if (status == KDS_OK) {
                status = kds_dataset_view(block, size, out, err);
            }
        }
    }
    KDS_TRY(kds_launch_agree(launch, status, err)); /* after this all have mapped it */
    KDS_TRY(check_same_data(launch, out, err));
    KDS_TRY(kds_launch_sum(launch, &n_copies, err));
    if (launch->rank == 0 && n_copies > 0) {
        kds_log_warning(
            log, "%.0f ranks keep a copy of the data set of their own: memory is not shared between processes here",
            n_copies);
    }
out:
    return status;
}

kds_status kds_launch_open_store(kds_launch *launch, const char *path, const kds_layout *layout, kds_store **out,
                                 kds_error *err)
{
    if (!launch->with_mpi) {
        return kds_store_open(path, layout, out, err);
    }
    return kds_store_open_mpi(path, layout, launch->world, out, err);
}

kds_status kds_launch_run_farm(kds_launch *launch, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                               kds_farm_report *report, kds_error *err)
{
    if (!launch->with_mpi) {
        return kds_farm_run_loopback(config, callbacks, report, err);
    }
    return kds_farm_run_mpi(launch->world, config, callbacks, report, err);
}

kds_status kds_launch_sum(kds_launch *launch, double *value, kds_error *err)
{
    kds_status status = KDS_OK;
    if (launch->with_mpi) {
        double sum = 0;
        TRY_MPI(MPI_Reduce(value, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, launch->world));
        *value = sum;
    }
out:
    return status;
}

_Noreturn void kds_launch_abort(kds_launch *launch, int exit_code)
{
    if (launch && launch->with_mpi) {
        MPI_Abort(launch->world, exit_code);
    }
    exit(exit_code);
}

void kds_launch_end(kds_launch *launch)
{
    if (!launch) {
        return;
    }
    kds_shared_block_clear(&launch->data);
    if (launch->with_mpi) {
        if (launch->node != MPI_COMM_NULL) {
            MPI_Comm_free(&launch->node);
        }
        if (launch->world != MPI_COMM_NULL) {
            MPI_Comm_free(&launch->world);
        }
        MPI_Finalize();
    }
    kds_free(launch);
}
