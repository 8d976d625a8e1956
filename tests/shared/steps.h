/* A process that is killed before its n-th access to the page. */
#ifndef FASTPOOL_TEST_STEPS_H
#define FASTPOOL_TEST_STEPS_H

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

static int64_t fp_step_left = -1; /* accesses before the end; -1: it goes on */

static inline void fp_step(void)
{
    if (fp_step_left >= 0 && fp_step_left-- == 0) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}
#define FP_PAUSE() fp_step()

#endif
