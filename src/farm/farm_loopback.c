/*
 * The farm in one process: a desk with one worker. No messages, the same decisions.
 */
#include "desk.h"

static bool tick(void *context)
{
    kds_desk *desk = context;
    kds_desk_sit_down(desk);
    kds_desk_look_up(desk);
    kds_desk_get_up(desk);
    return desk->must_leave;
}

kds_status kds_farm_run_loopback(const kds_farm_config *config, const kds_farm_callbacks *callbacks,
                                 kds_farm_report *report, kds_error *err)
{
    kds_status status = KDS_OK;
    kds_desk desk;
    *report = (kds_farm_report){0};
    KDS_TRY(kds_desk_init(&desk, config, callbacks, 1, err));

    kds_desk_open(&desk);
    do {
        tick(&desk); /* also between jobs: a stop must not wait for the next tick of a job */
    } while (kds_desk_work(&desk, (kds_tick){tick, &desk}));
    KDS_ASSERT(kds_sched_is_over(desk.sched));
    kds_desk_close(&desk, report);
    status = desk.status;
out:
    kds_desk_clear(&desk);
    return status;
}
