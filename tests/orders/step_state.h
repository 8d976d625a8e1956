/* A run of tests/orders: its actors, their next operations, the steps that were done (steps.h says what they are). */
#ifndef FASTPOOL_TEST_STEP_STATE_H
#define FASTPOOL_TEST_STEP_STATE_H

#include "Python.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>

enum { FP_ACTORS = 6, FP_STEPS = 20000, FP_CORES = 3, FP_BYTES = 1025 };
enum { FP_READS, FP_WRITES, FP_TAKES, FP_SLEEPS, FP_DROPS, FP_BEGINS };
enum { FP_AWAY, FP_THERE, FP_OVER };

typedef struct {
    int kind;
    const void *where;
    const char *name;  /* of the operation: u64_cas, take … */
    int64_t clock;     /* when the sleep began */
} fp_step_op;

typedef struct {
    uint8_t actor, enabled, asleep; /* whose turn; the actors that can run; those that would show nothing new */
    fp_step_op op;
} fp_step_done;

typedef struct { int held; } fp_step_lock;

static struct fp_steps_t {
    pthread_mutex_t mutex;
    pthread_cond_t turned[FP_ACTORS];
    int actors, arrived, turn, last;
    int state[FP_ACTORS], last_of[FP_ACTORS]; /* its last step */
    fp_step_op next[FP_ACTORS];
    uint32_t struck[FP_ACTORS]; /* a signal has come for it */
    const void *futex[FP_ACTORS]; /* on which it sleeps; NULL: a wake has come */
    int dozes[FP_ACTORS];         /* what it sleeps on is a futex, and no lock */
    const uint8_t *plan;
    int planned, steps;
    uint64_t seed;              /* not 0: beyond the plan the turns are drawn */
    uint8_t asleep;
    int moves;                  /* how often the clock may still move on when no actor can */
    int diverged, redundant;    /* steps, -1: none */
    int stuck;                  /* step at which no actor could go on, -1: none */
    const char *ignored[FP_CORES], *ignored_end[FP_CORES];
    const char *page[FP_CORES]; /* each pool has mapped it for itself; NULL: the pool is not shared */
    size_t page_size;
    PyObject *signal;
    fp_step_done done[FP_STEPS];
} fp_steps = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static __thread int fp_step_me = -1;
/* The write that this actor is at: if it leaves the word as it is (a swap that fails) it is no more than a read. */
static __thread struct { int step; const void *where; size_t size; uint64_t was; } fp_step_at;
static int64_t fp_clock_stopped;     /* clock.h's */
/* atomic.h's, no part of a pool's protocol; the thread that holds the roll must not stop here: others would spin */
static uint64_t fp_last_uid, fp_generation_word;
static uint32_t fp_roll_held, fp_roll_kept, fp_roll_unlisted;
static uint32_t fp_page_held;        /* page.h's: this process's list of descriptors, held for a few instructions */
static __thread jmp_buf *fp_step_end; /* where a native call that ends early goes on */
static __thread int fp_step_life = -1; /* accesses before this actor dies; -1: it lives */
static int fp_seeded_fault = 0;
static int fp_fault(int number) { return fp_seeded_fault == number; }

#endif
