/* The only place where compilers differ: typed atomics, cache-line size, the thread's own block, fork.
 *
 * Words are 32 or 64 bit, never smaller.  The name of an operation carries its order:
 *   peek / put     relaxed load / store: a value that stands alone (counters, stamps, hints)
 *   load / store   acquire load / release store: what was written before the store is seen after the load
 *   swap, cas, add, or, and   sequentially consistent read-modify-write: the protocol's decisions
 *   load_sc        sequentially consistent load: the second half of "write mine, then look at yours"
 * There are no stand-alone fences: ThreadSanitizer does not model them.
 *
 * FP_PAUSE() comes before every access. It does nothing, but in a test build may yield, so that threads meet there.
 */
#ifndef FASTPOOL_ATOMIC_H
#define FASTPOOL_ATOMIC_H

#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef FP_PAUSE
#define FP_PAUSE() ((void)0)
#endif

#define FP_LINE 64 /* bytes that two processors cannot write at once */

#if defined(__GNUC__) || defined(__clang__)

#define FP_ATOMICS(T, N)                                                                                             \
    static inline T fp_##N##_peek(const T *p) { FP_PAUSE(); return __atomic_load_n(p, __ATOMIC_RELAXED); }           \
    static inline void fp_##N##_put(T *p, T v) { FP_PAUSE(); __atomic_store_n(p, v, __ATOMIC_RELAXED); }             \
    static inline T fp_##N##_load(const T *p) { FP_PAUSE(); return __atomic_load_n(p, __ATOMIC_ACQUIRE); }           \
    static inline void fp_##N##_store(T *p, T v) { FP_PAUSE(); __atomic_store_n(p, v, __ATOMIC_RELEASE); }           \
    static inline T fp_##N##_load_sc(const T *p) { FP_PAUSE(); return __atomic_load_n(p, __ATOMIC_SEQ_CST); }        \
    static inline T fp_##N##_swap(T *p, T v) { FP_PAUSE(); return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }     \
    static inline T fp_##N##_add(T *p, T v) { FP_PAUSE(); return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }       \
    static inline T fp_##N##_or(T *p, T v) { FP_PAUSE(); return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }         \
    static inline T fp_##N##_and(T *p, T v) { FP_PAUSE(); return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); }       \
    static inline int fp_##N##_cas(T *p, T seen, T want)                                                             \
    {                                                                                                                \
        FP_PAUSE();                                                                                                  \
        return __atomic_compare_exchange_n(p, &seen, want, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                   \
    }
#define FP_THREAD_LOCAL static __thread

#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_ARM64))

#include <intrin.h>
#if defined(_M_ARM64)
#define FP_ORDER() __dmb(_ARM64_BARRIER_ISH)
#else
#define FP_ORDER() _ReadWriteBarrier()
#endif
#define FP_ATOMICS_(T, N, M, S)                                                                                      \
    static __forceinline T fp_##N##_peek(const T *p) { return *(const volatile T *)p; }                              \
    static __forceinline void fp_##N##_put(T *p, T v) { *(volatile T *)p = v; }                                      \
    static __forceinline T fp_##N##_load(const T *p) { T v = *(const volatile T *)p; FP_ORDER(); return v; }         \
    static __forceinline void fp_##N##_store(T *p, T v) { FP_ORDER(); *(volatile T *)p = v; }                        \
    static __forceinline T fp_##N##_swap(T *p, T v) { return (T)_InterlockedExchange##S((volatile M *)p, (M)v); }    \
    static __forceinline T fp_##N##_add(T *p, T v) { return (T)_InterlockedExchangeAdd##S((volatile M *)p, (M)v); }  \
    static __forceinline T fp_##N##_or(T *p, T v) { return (T)_InterlockedOr##S((volatile M *)p, (M)v); }            \
    static __forceinline T fp_##N##_and(T *p, T v) { return (T)_InterlockedAnd##S((volatile M *)p, (M)v); }          \
    static __forceinline T fp_##N##_load_sc(const T *p) { FP_ORDER(); return fp_##N##_load(p); }                     \
    static __forceinline int fp_##N##_cas(T *p, T seen, T want)                                                      \
    {                                                                                                                \
        return (T)_InterlockedCompareExchange##S((volatile M *)p, (M)want, (M)seen) == seen;                         \
    }
#define FP_ATOMICS(T, N) FP_ATOMICS_##N
#define FP_ATOMICS_u32 FP_ATOMICS_(uint32_t, u32, long, )
#define FP_ATOMICS_u64 FP_ATOMICS_(uint64_t, u64, __int64, 64)
#define FP_ATOMICS_i64 FP_ATOMICS_(int64_t, i64, __int64, 64)
#define FP_THREAD_LOCAL static __declspec(thread)

#else
#error "fastpool: no atomic operations known for this compiler"
#endif

FP_ATOMICS(uint32_t, u32)
FP_ATOMICS(uint64_t, u64)
FP_ATOMICS(int64_t, i64)

/* ---- memory on cache lines ---------------------------------------------------------------------------------- */

#if defined(_WIN32)
#include <malloc.h>
static inline void *fp_lines_new(size_t bytes) { return _aligned_malloc(bytes, FP_LINE); }
static inline void fp_lines_free(void *p) { _aligned_free(p); }
#else
static inline void *fp_lines_new(size_t bytes)
{
    void *p = NULL;
    return posix_memalign(&p, FP_LINE, bytes) == 0 ? p : NULL;
}
static inline void fp_lines_free(void *p) { free(p); }
#endif

/* ---- fork: a child is another generation --------------------------------------------------------------------- */

static uint64_t fp_generation_word = 1;
static inline uint64_t fp_generation(void) { return fp_u64_peek(&fp_generation_word); }

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN /* without the first winsock.h, whose names winsock2.h (probe.h) declares differently */
#endif
#include <windows.h>
static inline uint64_t fp_thread_ident(void) { return GetCurrentThreadId(); }
#else
#include <pthread.h>
static inline uint64_t fp_thread_ident(void) { return (uint64_t)(uintptr_t)pthread_self(); }
#endif

/* ---- the thread's own block ---------------------------------------------------------------------------------- */

#define FP_HINTS 16 /* pools a thread can use without forgetting which of them it used; a power of two */

/* What this thread remembers of one pool.  No other thread reads or writes it. */
typedef struct {
    uint64_t pool; /* the pool's id (never reused), 0: nothing remembered */
    void *slot;    /* the slot it returned or took last: a hint, the slot's word decides */
    uint64_t held; /* leases it took less those it returned itself: 0 proves that it holds none */
} fp_thread_hint;

typedef struct fp_thread {
    uint64_t uid;   /* never reused, unlike thread idents */
    uint64_t ident; /* the thread's ident, as Python's threading knows it; for reports only */
    uint64_t forgot; /* it once forgot a pool in which it held leases */
    uint64_t tick;  /* the processor's counter when this thread last read the coarse clock */
    int64_t tick_ns; /* and what it read */
    fp_thread_hint hints[FP_HINTS];
    struct fp_thread *before, *behind; /* on the roll */
} fp_thread;

static uint64_t fp_last_uid = 0;
FP_THREAD_LOCAL fp_thread fp_thread_block;

/* The roll: the blocks of all threads that are alive.  A thread that ends is removed by the system's destructor for
 * threads, whatever kind of thread it is; Python has no equivalent (a token in the thread state dies with each
 * PyGILState callback, and a Thread object may outlive its thread or never exist).  In many lists, by number: among
 * thousands of threads, each lease's owner is looked for in a short one. */
enum { FP_ROLLS = 1024 };
static fp_thread *fp_roll[FP_ROLLS];
static uint32_t fp_roll_held = 0;      /* a spin lock, held for a few instructions to link, unlink or look */
static uint32_t fp_roll_kept = 0;      /* the destructor is in place */
static uint32_t fp_roll_unlisted = 0;  /* threads that could not be put on it */

static inline void fp_roll_take(void)
{
    while (!fp_u32_cas(&fp_roll_held, 0, 1))
        ;
}
static inline void fp_roll_leave(void) { fp_u32_store(&fp_roll_held, 0); }

static inline void fp_roll_strike(fp_thread *me)
{
    fp_roll_take();
    if (me->before != NULL)
        me->before->behind = me->behind;
    else
        fp_roll[me->uid % FP_ROLLS] = me->behind;
    if (me->behind != NULL)
        me->behind->before = me->before;
    fp_roll_leave();
}

#if defined(_WIN32)
static DWORD fp_roll_key;
static void WINAPI fp_thread_over(void *me)
{
    if (me != NULL)
        fp_roll_strike((fp_thread *)me);
}
static inline int fp_roll_mind(fp_thread *me) { return FlsSetValue(fp_roll_key, me) != 0; }
static inline int fp_watch_threads(void)
{
    fp_roll_key = FlsAlloc(fp_thread_over);
    fp_roll_kept = fp_roll_key != FLS_OUT_OF_INDEXES;
    return fp_roll_kept ? 0 : -1;
}
#else
static pthread_key_t fp_roll_key;
static void fp_thread_over(void *me) { fp_roll_strike((fp_thread *)me); }
static inline int fp_roll_mind(fp_thread *me) { return pthread_setspecific(fp_roll_key, me) == 0; }

/* Runs in the child between fork() and anything else, so it may do no more than this.  The other threads do not exist
 * any more: one of them may have held the roll. */
static void fp_in_child(void)
{
    fp_thread *me = &fp_thread_block;
    fp_u64_put(&fp_generation_word, fp_generation_word + 1);
    me->before = me->behind = NULL;
    memset(fp_roll, 0, sizeof fp_roll);
    if (me->uid != 0)
        fp_roll[me->uid % FP_ROLLS] = me;
    fp_roll_held = 0;
}
static inline int fp_watch_threads(void)
{
    fp_roll_kept = pthread_key_create(&fp_roll_key, fp_thread_over) == 0;
    return fp_roll_kept && pthread_atfork(NULL, NULL, fp_in_child) == 0 ? 0 : -1;
}
#endif

static inline fp_thread *fp_thread_begin(void)
{
    fp_thread *me = &fp_thread_block;
    if (me->uid == 0) {
        me->ident = fp_thread_ident();
        me->uid = fp_u64_add(&fp_last_uid, 1) + 1;
        if (fp_roll_kept && fp_roll_mind(me)) {
            fp_roll_take();
            me->behind = fp_roll[me->uid % FP_ROLLS];
            if (me->behind != NULL)
                me->behind->before = me;
            fp_roll[me->uid % FP_ROLLS] = me;
            fp_roll_leave();
        } else {
            fp_u32_add(&fp_roll_unlisted, 1);
        }
    }
    return me;
}

/* Whether the thread with this number is alive; true, too, where that cannot be known. */
static inline int fp_thread_alive(uint64_t uid)
{
    fp_thread *one;
    if (fp_u32_peek(&fp_roll_unlisted) != 0)
        return 1;
    fp_roll_take();
    for (one = fp_roll[uid % FP_ROLLS]; one != NULL && one->uid != uid; one = one->behind)
        ;
    fp_roll_leave();
    return one != NULL;
}

#if defined(__GLIBC__) && defined(__GNUC__)
/* A pointer in the static block is one load away, the block itself a call into the loader.  musl has no room there. */
FP_THREAD_LOCAL fp_thread *fp_thread_known __attribute__((tls_model("initial-exec")));
static inline fp_thread *fp_thread_self(void)
{
    if (__builtin_expect(fp_thread_known == NULL, 0))
        fp_thread_known = fp_thread_begin();
    return fp_thread_known;
}
#else
static inline fp_thread *fp_thread_self(void) { return fp_thread_begin(); }
#endif

#endif
