/* Does what this process writes to stderr end on a terminal? */
#ifndef KDSWEEP_TERMINAL_H
#define KDSWEEP_TERMINAL_H

#include <stdbool.h>

/*
 * Directly, or through an MPI launcher of this host: under mpirun stderr is a pipe to the launcher, whose own stderr tells. *width gets the
 * columns (80 when unknown); may be NULL.
 */
bool kds_terminal_is_stderr(int *width);

#endif
