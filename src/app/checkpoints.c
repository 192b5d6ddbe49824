#include "checkpoints.h"

#include <stdlib.h>

#include "kdsweep/arena.h"
#include "kdsweep/store.h"
#include "worker.h"

static int compare_ids(const void *a, const void *b)
{
    const kds_checkpoint_entry *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int compare_jobs(const void *a, const void *b)
{
    const kds_checkpoint_entry *x = a, *y = b;
    return x->job != y->job ? (x->job > y->job) - (x->job < y->job) : compare_ids(a, b);
}

/* Most training first; ids decide between equals, whatever the order of the folder. */
static int compare_seconds(const void *a, const void *b)
{
    const kds_checkpoint_entry *x = a, *y = b;
    return x->seconds != y->seconds ? (x->seconds < y->seconds) - (x->seconds > y->seconds) : compare_ids(a, b);
}

kds_status kds_checkpoints_find(const char *work, const kds_plan *plan, kds_checkpoint_entry **list, int *n,
                                kds_error *err)
{
    enum { MAX_LISTED = 4096 };
    uint64_t ids[MAX_LISTED];
    *list = NULL;
    *n = kds_checkpoint_list(work, ids, MAX_LISTED);
    if (*n == 0) {
        return KDS_OK;
    }
    *list = kds_alloc((size_t)*n, sizeof **list, err);
    if (!*list) {
        return KDS_MEMORY;
    }
    for (int k = 0; k < *n; k++) {
        (*list)[k] = (kds_checkpoint_entry){.id = ids[k], .job = -1, .seconds = kds_checkpoint_seconds(work, ids[k])};
    }
    qsort(*list, (size_t)*n, sizeof **list, compare_ids);
    for (int32_t i = 0; i < plan->n_jobs; i++) {
        const kds_checkpoint_entry key = {.id = plan->jobs[i].id};
        kds_checkpoint_entry *entry = bsearch(&key, *list, (size_t)*n, sizeof **list, compare_ids);
        if (entry) {
            entry->job = i;
        }
    }
    qsort(*list, (size_t)*n, sizeof **list, compare_jobs);
    return KDS_OK;
}

/* Checkpoints that are removed although there is training in them. */
typedef struct loss {
    int n;
    double seconds;
} loss;

static void give_up(const char *work, const kds_checkpoint_entry *entry, loss *lost)
{
    kds_checkpoint_remove(work, entry->id);
    lost->n += entry->seconds > 0;
    lost->seconds += entry->seconds;
}

static void tell_loss(const kds_log *log, const loss *lost, const char *why_one, const char *why)
{
    char seconds[KDS_NUMBER_CHARS];
    if (lost->n > 0) {
        kds_log_note(log, "%d checkpoint%s with %s of training %s: removed", lost->n, lost->n == 1 ? "" : "s",
                     kds_seconds_to_text(lost->seconds, seconds), lost->n == 1 ? why_one : why);
    }
}

void kds_checkpoints_thin(const char *work, const kds_plan *plan, const bool *is_open, int n_ranks, const kds_log *log)
{
    kds_checkpoint_entry *list;
    int n_all, n = 0;
    loss strange = {0}, crowded = {0};
    if (kds_checkpoints_find(work, plan, &list, &n_all, NULL) != KDS_OK) {
        return; /* nothing is wrong but the room on the disk */
    }
    for (int k = 0; k < n_all; k++) {
        if (list[k].job < 0) {
            give_up(work, &list[k], &strange);
        } else if (!is_open[list[k].job]) { /* its row is in the file: nothing is lost */
            kds_checkpoint_remove(work, list[k].id);
        } else {
            list[n++] = list[k];
        }
    }
    if (n > n_ranks) {
        qsort(list, (size_t)n, sizeof *list, compare_seconds);
    }
    for (int k = n_ranks; k < n; k++) {
        char name[256], seconds[KDS_NUMBER_CHARS];
        kds_job_describe(plan, list[k].job, name, sizeof name);
        kds_log_verbose(log, "the checkpoint of %s is removed, with %s of training: one is kept for each rank", name,
                        kds_seconds_to_text(list[k].seconds, seconds));
        give_up(work, &list[k], &crowded);
    }
    tell_loss(log, &strange, "belongs to no trial of this grid", "belong to no trial of this grid");
    tell_loss(log, &crowded, "has no rank to go on with it", "have no rank to go on with them");
    kds_free(list);
}
