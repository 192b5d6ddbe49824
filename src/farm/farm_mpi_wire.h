/*
 * What travels between the ranks of the farm, and the few ways in which it is sent, received and waited for.
 *
 *   worker -> root   TAG_EVENT    READY once; ENDED for each job it was given; STOP_PLEASE at most once; LEFT as the last
 *                    TAG_BYTES    outcome bytes, behind an ENDED with n_bytes > 0
 *                    TAG_TEXT     a kds_error, behind an ENDED that says LOST (at most one per rank)
 *   root -> worker   TAG_COMMAND  RUN; STOP once; FAREWELL as the last, after all ranks have LEFT
 *
 * Messages of one tag between two ranks keep their order, so nothing comes after LEFT, and no RUN after STOP.
 *
 * All sends are nonblocking, from buffers made before the first job. There are enough of them that a send never has to wait
 * long: a worker has at most 1 + n_reserve jobs that the root has not acknowledged by taking them into account, and the root at
 * most as many RUNs that a worker has not answered.
 */
#ifndef KDSWEEP_FARM_MPI_WIRE_H
#define KDSWEEP_FARM_MPI_WIRE_H

#include <mpi.h>

#include "kdsweep/farm.h"

enum { ROOT = 0 };

typedef enum wire_tag { TAG_COMMAND = 1, TAG_EVENT, TAG_BYTES, TAG_TEXT } wire_tag;

typedef enum wire_kind {
    COMMAND_RUN,
    COMMAND_STOP,
    COMMAND_FAREWELL, /* status, is_stopped */
    EVENT_READY,
    EVENT_ENDED, /* job, outcome, seconds, n_bytes */
    EVENT_STOP_PLEASE,
    EVENT_LEFT,
} wire_kind;

/* The one fixed-size message, sent as bytes (ranks of one job share a representation). */
typedef struct wire_message {
    int32_t kind;    /* wire_kind */
    int32_t job;     /* -1 none */
    int32_t outcome; /* kds_outcome_kind */
    int32_t status;  /* kds_status */
    int32_t is_stopped;
    int32_t n_bytes;
    double seconds;
} wire_message;

/* Every MPI call goes through this: a failure becomes a record and leaves through `out`. */
#define TRY_MPI(call)                                    \
    do {                                                 \
        const int code_ = (call);                        \
        if (code_ != MPI_SUCCESS) {                      \
            status = kds_wire_failed(code_, #call, err); \
            goto out;                                    \
        }                                                \
    } while (0)

/* KDS_IO with MPI's words for `code`. */
kds_status kds_wire_failed(int code, const char *call, kds_error *err);

/* ---- sending --------------------------------------------------------------------------------------------------------- */

/* A ring of fixed-size messages on their way. */
typedef struct wire_outbox {
    MPI_Comm comm;
    wire_message *messages;
    MPI_Request *requests;
    int n;
    int next;
} wire_outbox;

kds_status kds_outbox_init(wire_outbox *outbox, MPI_Comm comm, int n, kds_error *err);
void kds_outbox_clear(wire_outbox *outbox);
kds_status kds_outbox_send(wire_outbox *outbox, int rank, wire_tag tag, const wire_message *message, kds_error *err);

/* Wait, sleeping, until every message has gone. */
kds_status kds_outbox_flush(wire_outbox *outbox, kds_error *err);

/* ---- receiving ------------------------------------------------------------------------------------------------------- */

/* One posted receive. Testing it also lets MPI make progress with everything else. */
typedef struct wire_inbox {
    MPI_Comm comm;
    wire_message message;
    MPI_Request request; /* MPI_REQUEST_NULL when none is posted */
    int source;          /* of `message` */
} wire_inbox;

kds_status kds_inbox_post(wire_inbox *inbox, int source, wire_tag tag, kds_error *err);

/* Has the message come? Also false when no receive is posted. */
kds_status kds_inbox_test(wire_inbox *inbox, bool *has_come, kds_error *err);

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

/* A wait in ever longer sleeps, so that it costs no processor and yet little time compared with how long it took. */
typedef struct wire_nap {
    double since; /* wall clock at the start of the wait; 0: not waiting */
} wire_nap;

void kds_nap_take(wire_nap *nap, double longest); /* seconds */
void kds_nap_end(wire_nap *nap);

/* For ticks, which may come every few microseconds: is it time to look at messages again? `last` is the caller's memory. */
bool kds_wire_is_due(double *last);

/* Sleep until the request is complete. */
kds_status kds_wire_wait(MPI_Request *request, kds_error *err);

/* ---- the two sides --------------------------------------------------------------------------------------------------- */

/* Made before the loop and freed after it; in between all ranks agree that each could make its side. A record of a failure goes
 * to the `err` that was given to _new. */
typedef struct wire_root wire_root;
typedef struct wire_worker wire_worker;

kds_status kds_wire_root_new(MPI_Comm comm, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                             wire_root **out, kds_error *err);
kds_status kds_wire_root_run(wire_root *root, kds_farm_report *report);
void kds_wire_root_free(wire_root *root);

kds_status kds_wire_worker_new(MPI_Comm comm, const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                               wire_worker **out, kds_error *err);
kds_status kds_wire_worker_run(wire_worker *worker, kds_farm_report *report);
void kds_wire_worker_free(wire_worker *worker);

#endif
