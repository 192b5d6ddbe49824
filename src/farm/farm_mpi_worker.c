/*
 * A rank other than 0: runs what it is given, in order; commands come in during ticks and while it waits.
 */
#include <string.h>

#include "desk.h"
#include "farm_mpi_wire.h"
#include "kdsweep/arena.h"
#include "kdsweep/clock.h"

/* A wake with one look into MPI takes some 30 us of processor on a virtual machine (two thirds of it the sleep itself), so 64 ranks
 * that wait on one node take 1.3 % of one core. Only who has waited for 1.2 s sleeps that long; after 80 ms it is 10 ms, see
 * kds_nap_take. */
static const double longest_nap = 150e-3;

/* Outcome bytes on their way. */
typedef struct parcel {
    unsigned char *bytes; /* [max_bytes] */
    MPI_Request request;
} parcel;

struct wire_worker {
    MPI_Comm comm;
    const kds_farm_config *config;
    const kds_farm_callbacks *callbacks;
    kds_hand hand;
    wire_inbox inbox;
    wire_outbox outbox;
    parcel *parcels; /* [n_parcels], used in turn */
    int n_parcels;
    int next_parcel;
    kds_error lost; /* what TAG_TEXT sends */
    MPI_Request lost_request;

    bool has_asked;    /* STOP_PLEASE is out */
    bool has_lost;     /* a LOST is out: the root will stop all */
    bool is_told;      /* STOP has come */
    bool has_left;     /* LEFT is out */
    bool is_dismissed; /* FAREWELL has come: what the root says is in inbox.message */
    double looked;     /* wall clock of the last tick that did */
    double busy_seconds;
    kds_status status; /* of the transport, with the record in err */
    kds_error *err;
};

kds_status kds_wire_worker_new(MPI_Comm comm, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                               wire_worker **out, kds_error *err)
{
    kds_status status = KDS_OK;
    *out = NULL;
    wire_worker *self = kds_alloc(1, sizeof *self, err);
    if (self == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    self->comm = comm;
    self->config = config;
    self->callbacks = callbacks;
    self->err = err;
    self->inbox = (wire_inbox){.comm = comm, .request = MPI_REQUEST_NULL};
    self->lost_request = MPI_REQUEST_NULL;
    KDS_TRY(kds_hand_init(&self->hand, config->n_reserve, err));
    /* READY, STOP_PLEASE, LEFT and the ENDED of each job in hand. */
    KDS_TRY(kds_outbox_init(&self->outbox, comm, 3 + self->hand.n_max, err));
    if (config->max_bytes > 0) {
        self->parcels = kds_alloc((size_t)self->hand.n_max, sizeof *self->parcels, err);
        self->n_parcels = self->parcels != NULL ? self->hand.n_max : 0;
        for (int i = 0; i < self->n_parcels; i++) {
            self->parcels[i].request = MPI_REQUEST_NULL;
            self->parcels[i].bytes = kds_alloc(config->max_bytes, 1, err);
            status = self->parcels[i].bytes == NULL ? KDS_MEMORY : status;
        }
        status = self->parcels == NULL ? KDS_MEMORY : status;
    }
out:
    if (status != KDS_OK) {
        kds_wire_worker_free(self);
    } else {
        *out = self;
    }
    return status;
}

void kds_wire_worker_free(wire_worker *self)
{
    if (self != NULL) {
        for (int i = 0; i < self->n_parcels; i++) {
            kds_free(self->parcels[i].bytes);
        }
        kds_free(self->parcels);
        kds_outbox_clear(&self->outbox);
        kds_hand_clear(&self->hand);
        kds_free(self);
    }
}

/* No job is begun any more, and what runs is interrupted. */
static bool is_stopping(const wire_worker *self)
{
    return self->is_told || self->has_asked || self->has_lost || self->status != KDS_OK;
}

static kds_status send_event(wire_worker *self, wire_kind kind)
{
    const wire_message message = {.kind = (int32_t)kind, .job = -1};
    return kds_outbox_send(&self->outbox, ROOT, TAG_EVENT, &message, self->err);
}

/* Take in the commands that have come. */
static kds_status read_commands(wire_worker *self)
{
    kds_status status = KDS_OK;
    for (;;) {
        bool has_come;
        KDS_TRY(kds_inbox_test(&self->inbox, &has_come, self->err));
        if (!has_come) {
            break;
        }
        switch ((wire_kind)self->inbox.message.kind) {
        case COMMAND_RUN:
            kds_hand_put(&self->hand, self->inbox.message.job);
            break;
        case COMMAND_STOP:
            self->is_told = true;
            break;
        case COMMAND_FAREWELL:
            self->is_dismissed = true;
            break;
        default:
            KDS_ASSERT(self->inbox.message.kind == COMMAND_RUN); /* fails: it is an event */
        }
        if (self->is_dismissed) {
            break; /* nothing follows: no receive is left behind */
        }
        KDS_TRY(kds_inbox_post(&self->inbox, ROOT, TAG_COMMAND, self->err));
    }
out:
    return status;
}

static kds_status look_up(wire_worker *self)
{
    kds_status status = KDS_OK;
    KDS_TRY(read_commands(self));
    const kds_farm_callbacks *callbacks = self->callbacks;
    if (!self->has_asked && !self->is_told && callbacks->must_stop != NULL &&
        callbacks->must_stop(callbacks->context)) {
        self->has_asked = true;
        KDS_TRY(send_event(self, EVENT_STOP_PLEASE));
    }
out:
    self->status = status;
    return status;
}

static bool tick(void *context)
{
    wire_worker *self = context;
    if (self->status == KDS_OK && kds_wire_is_due(&self->looked)) {
        look_up(self); /* a failure stays in self->status, and stops */
    }
    return is_stopping(self);
}

/* Report a job, with its bytes or its error. The caller's memory may change afterwards. */
static kds_status send_ended(wire_worker *self, int32_t job, const kds_outcome *outcome)
{
    kds_status status = KDS_OK;
    kds_error *err = self->err; /* for TRY_MPI */
    const bool is_result = outcome->kind == KDS_OUTCOME_DONE || outcome->kind == KDS_OUTCOME_UNUSABLE;
    const size_t n_bytes = is_result ? outcome->n_bytes : 0;
    KDS_ASSERT(n_bytes <= self->config->max_bytes);
    const wire_message message = {
        .kind = EVENT_ENDED,
        .job = job,
        .outcome = (int32_t)outcome->kind,
        .n_bytes = (int32_t)n_bytes,
        .seconds = outcome->seconds,
    };
    KDS_TRY(kds_outbox_send(&self->outbox, ROOT, TAG_EVENT, &message, err));
    if (n_bytes > 0) {
        parcel *next = &self->parcels[self->next_parcel];
        self->next_parcel = (self->next_parcel + 1) % self->n_parcels;
        KDS_TRY(kds_wire_wait(&next->request, err));
        memcpy(next->bytes, outcome->bytes, n_bytes);
        TRY_MPI(MPI_Isend(next->bytes, (int)n_bytes, MPI_BYTE, ROOT, TAG_BYTES, self->comm, &next->request));
    }
    if (outcome->kind == KDS_OUTCOME_LOST) {
        KDS_ASSERT(!self->has_lost); /* after the first one no job is run */
        self->has_lost = true;
        if (outcome->error != NULL) {
            self->lost = *outcome->error;
        }
        if (self->lost.status == KDS_OK) {
            kds_error_set(&self->lost, KDS_IO, NULL, "the result of job %d could not be kept", (int)job);
        }
        TRY_MPI(
            MPI_Isend(&self->lost, (int)sizeof self->lost, MPI_BYTE, ROOT, TAG_TEXT, self->comm, &self->lost_request));
    }
out:
    return status;
}

static kds_status run_next(wire_worker *self)
{
    const int32_t job = kds_hand_take(&self->hand);
    kds_outcome outcome = {.kind = KDS_OUTCOME_INTERRUPTED};
    if (!is_stopping(self)) {
        const double before = kds_clock_wall();
        self->callbacks->run(self->callbacks->context, job, (kds_tick){tick, self}, &outcome);
        self->busy_seconds += kds_clock_wall() - before;
    }
    return self->status != KDS_OK ? self->status : send_ended(self, job, &outcome);
}

/* All parcels and the text have gone: then the root, when it hears LEFT, has or gets them without waiting for this rank. */
static kds_status parcels_have_gone(wire_worker *self, bool *have_gone)
{
    kds_status status = KDS_OK;
    kds_error *err = self->err;
    *have_gone = false;
    int flag = 0;
    TRY_MPI(MPI_Test(&self->lost_request, &flag, MPI_STATUS_IGNORE));
    for (int i = 0; i < self->n_parcels && flag; i++) {
        TRY_MPI(MPI_Test(&self->parcels[i].request, &flag, MPI_STATUS_IGNORE));
    }
    *have_gone = flag != 0;
out:
    return status;
}

static kds_status work_until_dismissed(wire_worker *self)
{
    kds_status status = KDS_OK;
    wire_nap nap = {0};
    KDS_TRY(kds_inbox_post(&self->inbox, ROOT, TAG_COMMAND, self->err));
    KDS_TRY(send_event(self, EVENT_READY));
    for (;;) {
        KDS_TRY(look_up(self));
        if (self->is_dismissed) {
            break;
        }
        if (self->hand.n > 0) {
            kds_nap_end(&nap);
            KDS_TRY(run_next(self));
            continue;
        }
        if (self->is_told && !self->has_left) {
            KDS_TRY(parcels_have_gone(self, &self->has_left));
            if (self->has_left) {
                KDS_TRY(send_event(self, EVENT_LEFT));
                kds_nap_end(&nap); /* the farewell will come soon */
            }
        }
        kds_nap_take(&nap, longest_nap);
    }
    KDS_TRY(kds_outbox_flush(&self->outbox, self->err));
out:
    return status;
}

kds_status kds_wire_worker_run(wire_worker *self, kds_farm_report *report)
{
    const double started = kds_clock_wall();
    kds_status status = work_until_dismissed(self);
    report->wall_seconds = kds_clock_wall() - started;
    report->busy_seconds = self->busy_seconds;
    report->transport_failed = status != KDS_OK;
    if (status == KDS_OK) {
        report->stopped = self->inbox.message.is_stopped != 0;
        status = (kds_status)self->inbox.message.status;
    }
    if (self->lost.status != KDS_OK) {
        kds_error_set(self->err, self->lost.status, self->lost.hint, "%s", self->lost.message);
    } else if (status != KDS_OK && !report->transport_failed) {
        kds_error_set(self->err, status, NULL, "the sweep was ended by a failure that rank 0 tells");
    }
    return status;
}
