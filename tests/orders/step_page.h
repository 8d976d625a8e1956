/* What a shared page needs of the system, played: futexes, the locks of rows, and processes that are killed. */
#ifndef FASTPOOL_TEST_STEP_PAGE_H
#define FASTPOOL_TEST_STEP_PAGE_H

#include "steps.h"

static char fp_step_bytes[FP_BYTES]; /* stand for the bytes of a page's file that are locked */

/* Look and lie down in one go, as the kernel does; then sleep.  A run that is stuck ends the watcher's whole call. */
static void fp_step_futex_wait(uint32_t *futex, uint32_t seen)
{
    int me = fp_step_me;
    if (me < 0)
        return;
    fp_step(FP_WRITES, futex, "wait");
    if (*futex != seen)
        return;
    fp_steps.futex[me] = fp_step_place(futex);
    fp_steps.dozes[me] = 1;
    fp_step(FP_SLEEPS, futex, "sleep");
    fp_steps.dozes[me] = 0;
    fp_steps.futex[me] = NULL;
    if (fp_steps.stuck >= 0 && fp_step_end != NULL)
        longjmp(*fp_step_end, 1);
}

static void fp_step_futex_wake(uint32_t *futex)
{
    int who;
    fp_step(FP_WRITES, futex, "wake");
    for (who = 0; who < fp_steps.actors; who++)
        if (fp_steps.futex[who] == fp_step_place(futex)) {
            fp_steps.futex[who] = NULL;
            return;
        }
}

/* Call it; 1: it died before its `life`-th access (-1: it lives), or the run is stuck.  It must hold nothing that
 * another actor needs. */
static int fp_step_call(void (*call)(void *), void *what, int life)
{
    jmp_buf end;
    int died = setjmp(end);
    if (!died) {
        fp_step_end = &end;
        fp_step_life = life;
        call(what);
    }
    fp_step_end = NULL;
    fp_step_life = -1;
    return died;
}

#endif
