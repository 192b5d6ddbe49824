/* Requests to stop: signals and the time limit. */
#ifndef KDSWEEP_SIGNALS_H
#define KDSWEEP_SIGNALS_H

#include <stdbool.h>

/* From now on SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 only ask the program to stop. */
void kds_signals_catch(void);

/* The signal that came, or 0. */
int kds_signals_seen(void);

const char *kds_signal_name(int signal_number);

#endif
