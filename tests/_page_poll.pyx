"""The word of a page on which a thread sleeps, where there is no futex: c/futex.h is compiled as if Linux had none, and
its naps are counted."""

cdef extern from *:
    """
    #include <time.h>
    #define FP_SLEEP 0

    static long long naps = 0, nap_ns = 0; /* how many began, and how long the last one is */

    static int counted_nanosleep(const struct timespec *t, struct timespec *left)
    {
        nap_ns = t->tv_sec * 1000000000LL + t->tv_nsec;
        __atomic_fetch_add(&naps, 1, __ATOMIC_SEQ_CST);
        return nanosleep(t, left);
    }
    #define nanosleep counted_nanosleep
    """
    long long naps_begun "naps"
    long long last_nap_ns "nap_ns"

include "_page_word.pxi"


cdef class Word(SleptOn):
    """A word, and what was slept on it by anybody since the last `reset`."""

    @property
    def naps(self):
        return naps_begun

    @property
    def nap_ns(self):
        return last_nap_ns

    def reset(self):
        global naps_begun, last_nap_ns
        naps_begun = last_nap_ns = 0
