/*
 * Time: for measuring, for deadlines, for the record. Nothing that a result depends on.
 */
#ifndef KDSWEEP_CLOCK_H
#define KDSWEEP_CLOCK_H

double kds_clock_wall(void); /* seconds, monotonic */
double kds_clock_cpu(void);  /* seconds of processor time of this thread */
double kds_clock_utc(void);  /* seconds since 1970-01-01 00:00 UTC */

#endif
