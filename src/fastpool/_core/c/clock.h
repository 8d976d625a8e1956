/* Nanoseconds that only grow, without the GIL, precise and coarse, and a switch to stop and move them for tests. */
#ifndef FASTPOOL_CLOCK_H
#define FASTPOOL_CLOCK_H

#include "atomic.h"
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#endif

#if defined(_WIN32) /* windows.h is in atomic.h */
static inline int64_t fp_clock_real(void)
{
    LARGE_INTEGER f, c;
    QueryPerformanceFrequency(&f);
    QueryPerformanceCounter(&c);
    return (int64_t)(c.QuadPart / f.QuadPart) * 1000000000 + (int64_t)(c.QuadPart % f.QuadPart) * 1000000000 / f.QuadPart;
}
static inline int64_t fp_clock_real_coarse(void) { return (int64_t)GetTickCount64() * 1000000; }
static inline void fp_clock_choose(void) {}
#else
#include <time.h>
static inline int64_t fp_clock_read(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
/* On Linux the clock that goes on while the machine is suspended, if the system has it (CLOCK_MONOTONIC stands still
   then; macOS has no such difference).  Chosen once, before the time is first read. */
static clockid_t fp_clock_id = CLOCK_MONOTONIC;
static inline void fp_clock_choose(void)
{
#if defined(CLOCK_BOOTTIME)
    struct timespec t;
    if (clock_gettime(CLOCK_BOOTTIME, &t) == 0)
        fp_clock_id = CLOCK_BOOTTIME;
#endif
}
static inline int64_t fp_clock_real(void) { return fp_clock_read(fp_clock_id); }
#endif

/* 0: the real clock; otherwise the time it stands at, in ns.  Only tests write it. */
static int64_t fp_clock_stopped = 0;

/* How often a running clock was stopped; counted after the stop, so a thread that sees the count sees it stopped. */
static uint64_t fp_clock_stops = 0;

/* Stop the clock at a time in ns, or move a stopped one; 0: let it run. */
static inline void fp_clock_stop(int64_t at)
{
    int64_t was = fp_i64_peek(&fp_clock_stopped);
    fp_i64_put(&fp_clock_stopped, at);
    if (was == 0 && at != 0)
        fp_u64_add(&fp_clock_stops, 1);
}

static inline int64_t fp_clock_ns(void)
{
    int64_t at = fp_i64_peek(&fp_clock_stopped);
    return at ? at : fp_clock_real();
}

/* Order of events between threads: the processor's own counter where it has an invariant one, else the clock.
   Only compared with one another, never read as time. */
static inline uint64_t fp_clock_order(void)
{
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
    uint64_t v;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
    return v;
#else
    return (uint64_t)fp_clock_real();
#endif
}

/* For how many ticks of that counter, well below a millisecond, a thread reuses its last reading of the coarse clock:
   a reading costs as much as the two atomic operations of a checkout, the counter a quarter of that.
   0 where no counter runs at a constant rate. */
static uint64_t fp_clock_patience = 0;

static inline void fp_clock_begin(void)
{
    fp_clock_choose();
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    unsigned a, b, c, d;
    if (__get_cpuid(0x80000007u, &a, &b, &c, &d) && d & 1u << 8) /* "invariant TSC", 1 to 5 GHz */
        fp_clock_patience = (uint64_t)1 << 19;
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
    fp_clock_patience = (uint64_t)1 << 14; /* 24 MHz to 1 GHz */
#endif
}

#if defined(CLOCK_MONOTONIC_COARSE) && !defined(_WIN32) /* Linux: a few ns, one to four ms behind the precise one */
/* The clock that goes on in suspension has no coarse form: this is the coarse monotonic one plus the time that the
   machine was suspended, which is read again when the counter shows that the last reading is old (without a counter,
   when the coarse clock has moved on).  The largest of all readings counts, and none is too large (the time between its
   two clock calls makes it smaller): so the sum is never ahead and never goes back. */
static int64_t fp_clock_suspended = 0;
static uint64_t fp_clock_suspended_at = 0;
static inline int64_t fp_clock_real_coarse(void)
{
    int64_t coarse = fp_clock_read(CLOCK_MONOTONIC_COARSE), seen, now;
    uint64_t at = fp_clock_patience ? fp_clock_order() : (uint64_t)coarse;
    if (at - fp_u64_peek(&fp_clock_suspended_at) > fp_clock_patience / 2 && fp_clock_id != CLOCK_MONOTONIC) {
        seen = fp_i64_peek(&fp_clock_suspended);
        now = fp_clock_real();
        now -= fp_clock_read(CLOCK_MONOTONIC);
        if (now > seen)
            fp_i64_cas(&fp_clock_suspended, seen, now); /* if it fails, another thread has raised it just now */
        fp_u64_put(&fp_clock_suspended_at, at);
    }
    return coarse + fp_i64_peek(&fp_clock_suspended);
}
#elif !defined(_WIN32)
static inline int64_t fp_clock_real_coarse(void) { return fp_clock_real(); }
#endif

static inline int64_t fp_clock_coarse_ns(void)
{
    int64_t at = fp_i64_peek(&fp_clock_stopped);
    return at ? at : fp_clock_real_coarse();
}

/* The coarse clock, or up to half a millisecond behind it.  If a thread moves to a processor whose counter is behind
   that of its last one, the unsigned difference is very large, and the clock is read. */
static inline int64_t fp_clock_near_ns(fp_thread *me)
{
    uint64_t tick;
    if (fp_i64_peek(&fp_clock_stopped) != 0 || fp_clock_patience == 0)
        return fp_clock_coarse_ns();
    tick = fp_clock_order();
    if (tick - me->tick >= fp_clock_patience) {
        me->tick = tick;
        me->tick_ns = fp_clock_real_coarse();
    }
    return me->tick_ns;
}

#endif
