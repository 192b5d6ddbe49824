/*
 * Sending, receiving and waiting: the only places where the farm's messages meet MPI's requests.
 */
#include "farm_mpi_wire.h"

#include <stdio.h>
#include <time.h>

#include "kdsweep/arena.h"
#include "kdsweep/clock.h"

/* The shortest sleep is what the system's timer slack gives anyway. */
static const double shortest_nap = 50e-6;

/* A sleep lasts at most this part of the wait so far: the answer is noticed late by 1/8 of the wait at most. */
static const double nap_share = 1.0 / 8.0;

/* A look into MPI costs 0.2 us on a rank with a core of its own, and some 5 us where ranks share cores (there Open MPI yields the
 * processor in each). So often that nobody notices, so seldom that a tick every 100 us costs nothing. */
static const double look_every = 200e-6;

/* While a message has to leave before work can go on. */
static const double longest_nap_for_send = 1e-3;

kds_status kds_wire_failed(int code, const char *call, kds_error *err)
{
    char words[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (MPI_Error_string(code, words, &length) != MPI_SUCCESS) {
        snprintf(words, sizeof words, "error %d", code);
    }
    return kds_error_set(err, KDS_IO, "Finished rows are kept: run the same command again to go on.", "%s: %s", call,
                         words);
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

kds_status kds_outbox_init(wire_outbox *outbox, MPI_Comm comm, int n, kds_error *err)
{
    *outbox = (wire_outbox){.comm = comm, .n = n};
    outbox->messages = kds_alloc((size_t)n, sizeof *outbox->messages, err);
    outbox->requests = kds_alloc((size_t)n, sizeof *outbox->requests, err);
    if (outbox->messages == NULL || outbox->requests == NULL) {
        kds_outbox_clear(outbox);
        return KDS_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        outbox->requests[i] = MPI_REQUEST_NULL;
    }
    return KDS_OK;
}

void kds_outbox_clear(wire_outbox *outbox)
{
    kds_free(outbox->messages);
    kds_free(outbox->requests);
    *outbox = (wire_outbox){0};
}

kds_status kds_outbox_send(wire_outbox *outbox, int rank, wire_tag tag, const wire_message *message, kds_error *err)
{
    kds_status status = KDS_OK;
    const int slot = outbox->next;
    /* The message that was here a whole round ago has long been received; this lets MPI notice it. */
    KDS_TRY(kds_wire_wait(&outbox->requests[slot], err));
    outbox->next = (slot + 1) % outbox->n;
    outbox->messages[slot] = *message;
    TRY_MPI(MPI_Isend(&outbox->messages[slot], (int)sizeof *message, MPI_BYTE, rank, (int)tag, outbox->comm,
                      &outbox->requests[slot]));
out:
    return status;
}

kds_status kds_outbox_flush(wire_outbox *outbox, kds_error *err)
{
    kds_status status = KDS_OK;
    for (int i = 0; i < outbox->n; i++) {
        KDS_TRY(kds_wire_wait(&outbox->requests[i], err));
    }
out:
    return status;
}

/* ---- receiving ------------------------------------------------------------------------------------------------------- */

kds_status kds_inbox_post(wire_inbox *inbox, int source, wire_tag tag, kds_error *err)
{
    kds_status status = KDS_OK;
    TRY_MPI(MPI_Irecv(&inbox->message, (int)sizeof inbox->message, MPI_BYTE, source, (int)tag, inbox->comm,
                      &inbox->request));
out:
    return status;
}

kds_status kds_inbox_test(wire_inbox *inbox, bool *has_come, kds_error *err)
{
    kds_status status = KDS_OK;
    *has_come = false;
    if (inbox->request != MPI_REQUEST_NULL) {
        int flag = 0;
        MPI_Status received;
        TRY_MPI(MPI_Test(&inbox->request, &flag, &received));
        if (flag) {
            inbox->source = received.MPI_SOURCE;
            *has_come = true;
        }
    }
out:
    return status;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

void kds_nap_take(wire_nap *nap, double longest)
{
    const double now = kds_clock_wall();
    if (nap->since == 0.0) {
        nap->since = now;
    }
    double seconds = (now - nap->since) * nap_share;
    seconds = seconds < shortest_nap ? shortest_nap : seconds;
    seconds = seconds > longest ? longest : seconds;
    const struct timespec span = {.tv_sec = 0, .tv_nsec = (long)(seconds * 1e9)};
    nanosleep(&span, NULL); /* a signal may cut it short: so much the better */
}

void kds_nap_end(wire_nap *nap)
{
    nap->since = 0.0;
}

bool kds_wire_is_due(double *last)
{
    const double now = kds_clock_wall();
    const bool is_due = now - *last >= look_every;
    if (is_due) {
        *last = now;
    }
    return is_due;
}

kds_status kds_wire_wait(MPI_Request *request, kds_error *err)
{
    kds_status status = KDS_OK;
    wire_nap nap = {0};
    int flag = 0;
    for (;;) {
        TRY_MPI(MPI_Test(request, &flag, MPI_STATUS_IGNORE));
        if (flag) {
            break;
        }
        kds_nap_take(&nap, longest_nap_for_send);
    }
out:
    return status;
}
