/* One process, a build without MPI. */
#include <stdlib.h>
#include <unistd.h>

#include "kdsweep/arena.h"
#include "launch.h"
#include "shared_block.h"

struct kds_launch {
    kds_shared_block data;
};

int kds_launch_rank_hint(void)
{
    return 0;
}

kds_status kds_launch_new(bool alone, kds_launch **out, kds_error *err)
{
    (void)alone;
    *out = kds_alloc(1, sizeof **out, err);
    if (!*out) {
        return KDS_MEMORY;
    }
    (*out)->data = (kds_shared_block)KDS_SHARED_BLOCK_INIT;
    return KDS_OK;
}

int kds_launch_rank(const kds_launch *launch)
{
    (void)launch;
    return 0;
}

int kds_launch_n_ranks(const kds_launch *launch)
{
    (void)launch;
    return 1;
}

const char *kds_launch_library(void)
{
    return "none (built without MPI)";
}

kds_status kds_launch_agree(kds_launch *launch, kds_status status, kds_error *err)
{
    (void)launch;
    (void)err;
    return status;
}

kds_status kds_launch_broadcast(kds_launch *launch, void **bytes, size_t *n_bytes, kds_error *err)
{
    (void)launch;
    (void)bytes;
    (void)n_bytes;
    (void)err;
    return KDS_OK;
}

kds_status kds_launch_hosts(kds_launch *launch, kds_text *out, kds_error *err)
{
    (void)launch;
    (void)err;
    char host[KDS_HOST_CHARS] = "localhost";
    gethostname(host, sizeof host - 1);
    kds_text_addf(out, "%s (1)", host);
    return KDS_OK;
}

kds_status kds_launch_crowding(kds_launch *launch, int *n_ranks_of_node, kds_error *err)
{
    (void)launch;
    (void)err;
    *n_ranks_of_node = 1;
    return KDS_OK;
}

kds_status kds_launch_dataset(kds_launch *launch, const kds_data_spec *spec, const kds_log *log, kds_dataset *out,
                              kds_error *err)
{
    kds_status status;
    void *block;
    size_t size;
    (void)log;
    KDS_TRY(kds_dataset_load(spec, kds_shared_block_allocate, &launch->data, &block, &size, err));
    KDS_TRY(kds_dataset_view(block, size, out, err));
out:
    return status;
}

kds_status kds_launch_open_store(kds_launch *launch, const char *path, const kds_layout *layout, kds_store **out,
                                 kds_error *err)
{
    (void)launch;
    return kds_store_open(path, layout, out, err);
}

kds_status kds_launch_run_farm(kds_launch *launch, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                               kds_farm_report *report, kds_error *err)
{
    (void)launch;
    return kds_farm_run_loopback(config, callbacks, report, err);
}

kds_status kds_launch_sum(kds_launch *launch, double *value, kds_error *err)
{
    (void)launch;
    (void)value;
    (void)err;
    return KDS_OK;
}

_Noreturn void kds_launch_abort(kds_launch *launch, int exit_code)
{
    (void)launch;
    exit(exit_code);
}

void kds_launch_end(kds_launch *launch)
{
    if (launch) {
        kds_shared_block_clear(&launch->data);
        kds_free(launch);
    }
}
