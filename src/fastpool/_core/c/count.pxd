"""Histograms of durations: fixed arrays of log-scaled buckets in ns, four to a power of two."""

from libc.stdint cimport int64_t, uint64_t

from .atomic cimport i64_add, i64_peek, u64_add, u64_cas, u64_peek
from .table cimport top_bit

cdef enum:
    FINE = 2                          # bits below the leading one that choose the bucket
    BUCKETS = 4 + (64 - FINE) * 4

cdef struct Histogram:
    uint64_t count                    # [atomic]
    int64_t sum_ns                    # [atomic]
    uint64_t max_ns                   # [atomic]
    uint64_t buckets[BUCKETS]         # [atomic]


cdef inline int histogram_bucket(uint64_t ns) noexcept nogil:
    """The bucket of a duration; 0 to 3 ns have one each, above that a bucket spans a quarter of a power of two."""
    cdef int top
    if ns < 4:
        return <int>ns
    top = 32 + top_bit(<unsigned int>(ns >> 32)) if ns >> 32 else top_bit(<unsigned int>ns)
    return (top - FINE) * 4 + 4 + <int>((ns >> (top - FINE)) & 3)


cdef inline uint64_t histogram_edge(int bucket) noexcept nogil:
    """The least duration of a bucket, in ns."""
    cdef int step
    if bucket < 4:
        return bucket
    step = (bucket - 4) // 4
    return <uint64_t>(4 + (bucket & 3)) << step


cdef inline void histogram_add(Histogram *h, int64_t ns) noexcept nogil:
    """Relaxed would do: each number stands alone, and a reader takes the sums as they come."""
    cdef uint64_t value = <uint64_t>ns if ns > 0 else 0
    cdef uint64_t seen
    u64_add(&h.buckets[histogram_bucket(value)], 1)
    u64_add(&h.count, 1)
    i64_add(&h.sum_ns, <int64_t>value)
    while True:
        seen = u64_peek(&h.max_ns)
        if value <= seen or u64_cas(&h.max_ns, seen, value):
            return
