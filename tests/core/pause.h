/* Before each atomic access of a stress build: now and then yield, so that threads meet between any two accesses. */
#ifndef FASTPOOL_TEST_PAUSE_H
#define FASTPOOL_TEST_PAUSE_H

#include <sched.h>
#include <stdint.h>

#define FP_PAUSE() fp_pause()

static __thread uint64_t fp_pause_random;
static __thread uint64_t fp_pause_seldom; /* one access in so many */
static __thread uint64_t fp_pause_left;   /* accesses until that is drawn anew: the more, the seldomer, so that as much
                                             time goes to each density and most accesses to the thin ones */

static inline uint64_t fp_pause_draw(void)
{
    uint64_t r = fp_pause_random;
    if (r == 0)
        r = (uint64_t)(uintptr_t)&fp_pause_random; /* another one in each thread */
    r ^= r << 13;
    r ^= r >> 7;
    r ^= r << 17;
    return (fp_pause_random = r) >> 20;
}

static inline void fp_pause(void)
{
    uint64_t turns;
    if (fp_pause_left == 0) {
        fp_pause_seldom = (uint64_t)2 << fp_pause_draw() % 12;
        fp_pause_left = 1 + fp_pause_draw() % (16 * fp_pause_seldom);
    }
    fp_pause_left--;
    if (fp_pause_draw() & (fp_pause_seldom - 1))
        return;
    /* yield to one other thread; or many times, so that all others overtake this one */
    for (turns = fp_pause_draw() % 16 ? 1 : fp_pause_draw() % 40; turns > 0; turns--)
        sched_yield();
}

#endif
