/* One thread at a time, from one shared access to the next, in an order that is chosen: for tests/orders.
 *
 * The core is compiled with this in front (-include).  FP_PAUSE, which stands before every atomic access, stops an
 * actor (a thread of the test) until it is its turn; the interpreter's locks, its look for signals and the clock are
 * played, so that nothing ever really blocks.  A run is a list of turns: the plan as far as it goes, then the actor of
 * the last turn goes on as long as it can.  What every turn did is kept for tests/orders/walk.py.
 *
 * Of a shared page (step_page.h) the locks of its rows are turns as well, and the futexes are played: the clock stands
 * still, so a watcher whose wake-up is lost sleeps for ever, unless the scene lets the clock move on when no actor can.
 * A process that is killed is an actor whose native call ends before its n-th access.
 */
#ifndef FASTPOOL_TEST_STEPS_H
#define FASTPOOL_TEST_STEPS_H

#include "Python.h"
#include "pythread.h"
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include "step_state.h"

#define FP_PAUSE() fp_step_word(p, sizeof *p, __func__)

/* One address for each word of the page, whichever pool's mapping it was reached by. */
static const void *fp_step_place(const void *where)
{
    int i;
    for (i = 1; i < FP_CORES && fp_steps.page[i] != NULL; i++)
        if ((size_t)((const char *)where - fp_steps.page[i]) < fp_steps.page_size)
            return fp_steps.page[0] + ((const char *)where - fp_steps.page[i]);
    return where;
}

static int fp_step_enabled(int who)
{
    fp_step_op *op = &fp_steps.next[who];
    if (fp_steps.state[who] != FP_THERE)
        return 0;
    if (op->kind == FP_TAKES)
        return !((fp_step_lock *)op->where)->held;
    if (op->kind == FP_SLEEPS)
        return (fp_steps.dozes[who] ? fp_steps.futex[who] == NULL : !((fp_step_lock *)op->where)->held)
               || op->clock != fp_clock_stopped || fp_steps.struck[who];
    return 1;
}

static int fp_step_touches(int who, fp_step_op *op, const void *where)
{
    return op->where == where
           || (op->kind == FP_SLEEPS && (where == &fp_clock_stopped || where == &fp_steps.struck[who]));
}

/* Whether the order of these two makes a difference. */
static int fp_step_dependent(int a, fp_step_op *x, int b, fp_step_op *y)
{
    if (x->kind == FP_BEGINS || y->kind == FP_BEGINS || (x->kind == FP_READS && y->kind == FP_READS))
        return 0;
    return fp_step_touches(a, x, y->where) || fp_step_touches(b, y, x->where);
}

static int fp_step_draw(uint8_t among)
{
    int nth;
    fp_steps.seed ^= fp_steps.seed << 13;
    fp_steps.seed ^= fp_steps.seed >> 7;
    fp_steps.seed ^= fp_steps.seed << 17;
    nth = (int)((fp_steps.seed >> 16) % (unsigned)__builtin_popcount(among));
    while (nth--)
        among &= among - 1;
    return __builtin_ctz(among);
}

/* The actor whose turn is next.  Under the mutex, with every actor waiting before its next operation. */
static void fp_step_pick(void)
{
    int who, choice, step = fp_steps.steps;
    uint8_t enabled = 0, good;
    fp_step_done *done;
    for (who = 0; who < fp_steps.actors; who++)
        enabled |= fp_step_enabled(who) << who;
    if (!enabled && fp_steps.moves > 0) {
        fp_steps.moves--;
        fp_clock_stopped += 1000000000;
        for (who = 0; who < fp_steps.actors; who++)
            enabled |= fp_step_enabled(who) << who;
    }
    if (!enabled) {
        for (who = 0; who < fp_steps.actors; who++)
            if (fp_steps.state[who] == FP_THERE && fp_steps.next[who].kind == FP_SLEEPS) {
                fp_steps.struck[who] = 1; /* let it out, so that the run ends */
                enabled |= 1 << who;
            }
        if (fp_steps.stuck < 0)
            fp_steps.stuck = step;
    }
    if (!enabled || step >= FP_STEPS)
        Py_FatalError(enabled ? "tests/orders: this run does not end" : "tests/orders: they wait for each other's locks");
    good = enabled & ~(step >= fp_steps.planned ? fp_steps.asleep : 0);
    if (step < fp_steps.planned) {
        choice = fp_steps.plan[step];
        if (!(enabled >> choice & 1)) {
            if (fp_steps.diverged < 0)
                fp_steps.diverged = step;
            choice = __builtin_ctz(enabled);
        }
    } else {
        if (!good && fp_steps.redundant < 0)
            fp_steps.redundant = step;
        if (!good)
            good = enabled;
        if (fp_steps.seed)
            choice = fp_step_draw(good);
        else
            choice = good >> fp_steps.last & 1 ? fp_steps.last : __builtin_ctz(good);
    }
    done = &fp_steps.done[step];
    done->actor = (uint8_t)choice;
    done->enabled = enabled;
    done->asleep = fp_steps.asleep;
    done->op = fp_steps.next[choice];
    if (step >= fp_steps.planned - 1)
        for (who = 0; who < fp_steps.actors; who++)
            if (who == choice
                || (fp_steps.asleep >> who & 1
                    && fp_step_dependent(who, &fp_steps.next[who], choice, &fp_steps.next[choice])))
                fp_steps.asleep &= ~(1 << who);
    fp_steps.last_of[choice] = fp_steps.steps++;
    fp_steps.turn = fp_steps.last = choice;
    pthread_cond_signal(&fp_steps.turned[choice]);
}

static uint64_t fp_step_value(const void *where, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, where, size);
    return value;
}

static void fp_step_settle(void)
{
    if (fp_step_at.where != NULL && fp_step_value(fp_step_at.where, fp_step_at.size) == fp_step_at.was)
        fp_steps.done[fp_step_at.step].op.kind = FP_READS;
    fp_step_at.where = NULL;
}

static void fp_step(int kind, const void *where, const char *name)
{
    int me = fp_step_me;
    PyThreadState *attached;
    if (me < 0)
        return;
    fp_step_settle();
    if (fp_step_life >= 0 && fp_step_life-- == 0)
        longjmp(*fp_step_end, 1);
    pthread_mutex_lock(&fp_steps.mutex);
    fp_steps.next[me] = (fp_step_op){kind, fp_step_place(where), name, fp_clock_stopped};
    if (kind != FP_BEGINS || ++fp_steps.arrived == fp_steps.actors)
        fp_step_pick();
    if (fp_steps.turn != me) {
        /* The others need the interpreter; it cannot be had back under the mutex. */
        pthread_mutex_unlock(&fp_steps.mutex);
        attached = PyGILState_Check() ? PyEval_SaveThread() : NULL;
        pthread_mutex_lock(&fp_steps.mutex);
        while (fp_steps.turn != me)
            pthread_cond_wait(&fp_steps.turned[me], &fp_steps.mutex);
        pthread_mutex_unlock(&fp_steps.mutex);
        if (attached != NULL)
            PyEval_RestoreThread(attached);
        return;
    }
    pthread_mutex_unlock(&fp_steps.mutex);
}

static void fp_step_word(const void *where, size_t size, const char *name)
{
    const char *op = name + sizeof "fp_u64_" - 1;
    int i;
    if (where == &fp_last_uid || where == &fp_generation_word || where == &fp_roll_held || where == &fp_roll_kept
        || where == &fp_roll_unlisted || where == &fp_page_held)
        return;
    for (i = 0; i < FP_CORES; i++)
        if ((const char *)where >= fp_steps.ignored[i] && (const char *)where < fp_steps.ignored_end[i])
            return;
    if (!strncmp(op, "load", 4) || !strcmp(op, "peek")) {
        fp_step(FP_READS, where, op);
        return;
    }
    fp_step(FP_WRITES, where, op);
    if (fp_step_me < 0 || !strcmp(op, "add"))
        return; /* an addition always changes the word, and may be the last access to a waiter's memory */
    fp_step_at.step = fp_steps.last_of[fp_step_me];
    fp_step_at.where = where;
    fp_step_at.size = size;
    fp_step_at.was = fp_step_value(where, size);
}

static void fp_step_over(void)
{
    int who, left = 0;
    fp_step_settle();
    pthread_mutex_lock(&fp_steps.mutex);
    fp_steps.state[fp_step_me] = FP_OVER;
    fp_step_me = -1;
    for (who = 0; who < fp_steps.actors; who++)
        left += fp_steps.state[who] == FP_THERE;
    if (left)
        fp_step_pick();
    pthread_mutex_unlock(&fp_steps.mutex);
}

#endif
