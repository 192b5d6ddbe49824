#include "signals.h"

#include <signal.h>
#include <stddef.h>

/* The one global of the program: a signal handler has nowhere else to write. */
static volatile sig_atomic_t seen;

static const struct {
    int number;
    const char *name;
} caught[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}};

static void remember(int signal_number)
{
    seen = signal_number;
}

void kds_signals_catch(void)
{
    struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        sigaction(caught[i].number, &action, NULL);
    }
}

int kds_signals_seen(void)
{
    return seen;
}

const char *kds_signal_name(int signal_number)
{
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        if (caught[i].number == signal_number) {
            return caught[i].name;
        }
    }
    return "a signal";
}
