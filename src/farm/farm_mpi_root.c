/*
 * Rank 0: the desk with a mailbox. The mailbox is emptied during the ticks of the root's own jobs and while it waits.
 */
#include "farm_mpi_wire.h"

#include "desk.h"
#include "kdsweep/arena.h"
#include "kdsweep/clock.h"

/* All others wait for an idle root, so it sleeps lightly. It is one process only. */
static const double longest_nap = 5e-3;

/* Results that may arrive at the same time. When there are more, further messages wait in MPI until one has come. */
enum { N_PARCELS = 4 };

/* Outcome bytes on their way here. */
typedef struct parcel {
    unsigned char *bytes; /* [max_bytes] */
    MPI_Request request;
    int source;
    wire_message ended; /* the event that announced them; has come before its job counts as ended */
    bool is_expected;
} parcel;

struct wire_root {
    MPI_Comm comm;
    int n_ranks;
    kds_desk desk;
    wire_inbox inbox;
    bool inbox_is_full;    /* its message waits for a free parcel */
    wire_outbox *outboxes; /* [n_ranks], of rank 0 unused */
    parcel parcels[N_PARCELS];
    int n_expected;
    double looked;        /* wall clock of the last tick that did */
    int n_away;           /* other ranks that have not LEFT */
    kds_status transport; /* of MPI, with the record in err; the desk's status is the sweep's */
    kds_error *err;
};

/* ---- sending --------------------------------------------------------------------------------------------------------- */

/* kds_desk.send */
static void send_command(void *context, const kds_command *command)
{
    wire_root *self = context;
    const wire_message message = {
        .kind = command->kind == KDS_COMMAND_RUN ? COMMAND_RUN : COMMAND_STOP,
        .job = command->job,
    };
    if (self->transport == KDS_OK) {
        self->transport = kds_outbox_send(&self->outboxes[command->worker], command->worker, TAG_COMMAND, &message,
                                          self->err);
    }
}

static kds_status dismiss_all(wire_root *self, const kds_farm_report *report)
{
    kds_status status = KDS_OK;
    const wire_message message = {
        .kind = COMMAND_FAREWELL,
        .job = -1,
        .status = (int32_t)self->desk.status,
        .is_stopped = report->stopped,
    };
    for (int rank = 1; rank < self->n_ranks; rank++) {
        KDS_TRY(kds_outbox_send(&self->outboxes[rank], rank, TAG_COMMAND, &message, self->err));
    }
    for (int rank = 1; rank < self->n_ranks; rank++) {
        KDS_TRY(kds_outbox_flush(&self->outboxes[rank], self->err));
    }
out:
    return status;
}

/* ---- receiving ------------------------------------------------------------------------------------------------------- */

static parcel *free_parcel(wire_root *self)
{
    for (int i = 0; i < N_PARCELS; i++) {
        if (!self->parcels[i].is_expected) {
            return &self->parcels[i];
        }
    }
    return NULL;
}

static void open_parcel(wire_root *self, parcel *it)
{
    const kds_outcome outcome = {
        .kind = (kds_outcome_kind)it->ended.outcome,
        .seconds = it->ended.seconds,
        .bytes = it->bytes,
        .n_bytes = (size_t)it->ended.n_bytes,
    };
    it->is_expected = false;
    self->n_expected--;
    kds_desk_job_ended(&self->desk, it->source, it->ended.job, &outcome);
}

static kds_status open_arrived_parcels(wire_root *self)
{
    kds_status status = KDS_OK;
    kds_error *err = self->err;
    for (int i = 0; i < N_PARCELS && self->n_expected > 0; i++) {
        int flag = 0;
        if (self->parcels[i].is_expected) {
            TRY_MPI(MPI_Test(&self->parcels[i].request, &flag, MPI_STATUS_IGNORE));
        }
        if (flag) {
            open_parcel(self, &self->parcels[i]);
        }
    }
out:
    return status;
}

/* What a rank sent before its LEFT has left it: the rest of the way needs nobody's help, so waiting is short. */
static kds_status open_last_parcels_of(wire_root *self, int source)
{
    kds_status status = KDS_OK;
    for (int i = 0; i < N_PARCELS; i++) {
        if (self->parcels[i].is_expected && self->parcels[i].source == source) {
            KDS_TRY(kds_wire_wait(&self->parcels[i].request, self->err));
            open_parcel(self, &self->parcels[i]);
        }
    }
out:
    return status;
}

/* A job ended. False when its bytes need a parcel and none is free. */
static kds_status receive_ended(wire_root *self, const wire_message *ended, int source, bool *is_handled)
{
    kds_status status = KDS_OK;
    kds_error *err = self->err;
    kds_outcome outcome = {.kind = (kds_outcome_kind)ended->outcome, .seconds = ended->seconds};
    kds_error why = KDS_ERROR_INIT;
    *is_handled = true;
    if (ended->n_bytes > 0) {
        parcel *it = free_parcel(self);
        *is_handled = it != NULL;
        if (it != NULL) {
            TRY_MPI(MPI_Irecv(it->bytes, ended->n_bytes, MPI_BYTE, source, TAG_BYTES, self->comm, &it->request));
            it->source = source;
            it->ended = *ended;
            it->is_expected = true;
            self->n_expected++;
        }
        goto out;
    }
    if (outcome.kind == KDS_OUTCOME_LOST) {
        kds_error remote;
        TRY_MPI(MPI_Recv(&remote, (int)sizeof remote, MPI_BYTE, source, TAG_TEXT, self->comm, MPI_STATUS_IGNORE));
        kds_error_set(&why, remote.status, remote.hint, "rank %d: %s", source, remote.message);
        outcome.error = &why;
    }
    kds_desk_job_ended(&self->desk, source, ended->job, &outcome);
out:
    return status;
}

/* The message in the inbox. False when it has to wait. */
static kds_status read_message(wire_root *self, bool *is_handled)
{
    kds_status status = KDS_OK;
    const wire_message *message = &self->inbox.message;
    const int source = self->inbox.source;
    kds_desk *desk = &self->desk;
    *is_handled = true;
    switch ((wire_kind)message->kind) {
    case EVENT_READY:
        kds_sched_worker_ready(desk->sched, source);
        kds_desk_obey(desk);
        break;
    case EVENT_ENDED:
        KDS_TRY(receive_ended(self, message, source, is_handled));
        break;
    case EVENT_STOP_PLEASE:
        kds_sched_stop(desk->sched);
        kds_desk_obey(desk);
        break;
    case EVENT_LEFT:
        KDS_TRY(open_last_parcels_of(self, source));
        kds_sched_worker_left(desk->sched, source);
        kds_desk_obey(desk);
        self->n_away--;
        break;
    default:
        KDS_ASSERT(message->kind == EVENT_READY); /* fails: it is a command */
    }
out:
    return status;
}

/* Everything that has come. At most two messages of each rank: the root's own job is waiting. */
static kds_status serve(wire_root *self, bool *was_busy)
{
    kds_status status = KDS_OK;
    *was_busy = false;
    KDS_TRY(open_arrived_parcels(self));
    for (int i = 0; i < 2 * self->n_ranks && self->n_away > 0; i++) {
        bool has_come = self->inbox_is_full;
        if (!has_come) {
            KDS_TRY(kds_inbox_test(&self->inbox, &has_come, self->err));
        }
        if (!has_come) {
            break;
        }
        bool is_handled;
        KDS_TRY(read_message(self, &is_handled));
        self->inbox_is_full = !is_handled;
        if (!is_handled) {
            break;
        }
        *was_busy = true;
        if (self->n_away > 0) { /* else nothing follows: no receive is left behind */
            KDS_TRY(kds_inbox_post(&self->inbox, MPI_ANY_SOURCE, TAG_EVENT, self->err));
        }
    }
    KDS_TRY(self->transport); /* a command that could not be sent */
out:
    self->transport = status;
    return status;
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

/* One look at messages, signals, time and progress. */
static bool look_up(wire_root *self)
{
    bool was_busy = false;
    kds_desk_sit_down(&self->desk);
    if (self->transport == KDS_OK && serve(self, &was_busy) == KDS_OK) {
        kds_desk_look_up(&self->desk);
    }
    kds_desk_get_up(&self->desk);
    return was_busy;
}

static bool tick(void *context)
{
    wire_root *self = context;
    if (kds_wire_is_due(&self->looked)) {
        look_up(self);
    }
    return self->desk.must_leave || self->transport != KDS_OK;
}

kds_status kds_wire_root_run(wire_root *self, kds_farm_report *report)
{
    kds_status status = KDS_OK;
    wire_nap nap = {0};
    kds_desk *desk = &self->desk;
    self->n_away = self->n_ranks - 1;
    KDS_TRY(kds_inbox_post(&self->inbox, MPI_ANY_SOURCE, TAG_EVENT, self->err));
    kds_desk_open(desk);
    while (!kds_sched_is_over(desk->sched)) {
        const bool was_busy = look_up(self);
        KDS_TRY(self->transport);
        if (kds_desk_work(desk, (kds_tick){tick, self}) || was_busy) {
            kds_nap_end(&nap);
        } else if (!kds_sched_is_over(desk->sched)) {
            kds_nap_take(&nap, longest_nap);
        }
        KDS_TRY(self->transport);
    }
    KDS_ASSERT(self->n_away == 0 && self->n_expected == 0);
    kds_desk_close(desk, report);
    KDS_TRY(dismiss_all(self, report));
out:
    report->transport_failed = status != KDS_OK;
    return status != KDS_OK ? status : desk->status;
}

kds_status kds_wire_root_new(MPI_Comm comm, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                             wire_root **out, kds_error *err)
{
    kds_status status = KDS_OK;
    *out = NULL;
    wire_root *self = kds_alloc(1, sizeof *self, err);
    if (self == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    self->comm = comm;
    self->err = err;
    self->inbox = (wire_inbox){.comm = comm, .request = MPI_REQUEST_NULL};
    MPI_Comm_size(comm, &self->n_ranks);
    KDS_TRY(kds_desk_init(&self->desk, config, callbacks, self->n_ranks, err));
    self->desk.send = send_command;
    self->desk.transport = self;
    self->outboxes = kds_alloc((size_t)self->n_ranks, sizeof *self->outboxes, err);
    if (self->outboxes == NULL) {
        status = KDS_MEMORY;
        goto out;
    }
    for (int rank = 1; rank < self->n_ranks; rank++) {
        /* The RUNs that the rank has not answered, STOP and FAREWELL. */
        KDS_TRY(kds_outbox_init(&self->outboxes[rank], comm, 1 + config->n_reserve + 2, err));
    }
    for (int i = 0; i < N_PARCELS && config->max_bytes > 0; i++) {
        self->parcels[i].request = MPI_REQUEST_NULL;
        self->parcels[i].bytes = kds_alloc(config->max_bytes, 1, err);
        if (self->parcels[i].bytes == NULL) {
            status = KDS_MEMORY;
            goto out;
        }
    }
out:
    if (status != KDS_OK) {
        kds_wire_root_free(self);
    } else {
        *out = self;
    }
    return status;
}

void kds_wire_root_free(wire_root *self)
{
    if (self != NULL) {
        for (int rank = 1; rank < self->n_ranks && self->outboxes != NULL; rank++) {
            kds_outbox_clear(&self->outboxes[rank]);
        }
        for (int i = 0; i < N_PARCELS; i++) {
            kds_free(self->parcels[i].bytes);
        }
        kds_free(self->outboxes);
        kds_desk_clear(&self->desk);
        kds_free(self);
    }
}
