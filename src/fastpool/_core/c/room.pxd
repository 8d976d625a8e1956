"""The words of a pool, and the permits to connect."""

from libc.stdint cimport int64_t, intptr_t, uint32_t, uint64_t

from .atomic cimport u32_add, u32_cas, u32_load, u32_load_sc
from .idle cimport Idle
from .page cimport Page, Row
from .table cimport Table
from .waitq cimport Queue, Waiter, thread_lock

cdef extern from * nogil:
    "#define FP_FLAG(n) ((uint64_t)1 << (32 + (n)))"
    const uint64_t CLOSED "FP_FLAG(0)"         # no more checkouts
    const uint64_t SLOW_TAKE "FP_FLAG(1)"      # a checkout has more to do (listeners, precise times)
    const uint64_t SLOW_GIVE "FP_FLAG(2)"      # a checkin has more to do (listeners, max_idle, reset, precise times)
    const uint64_t OVER_SIZE "FP_FLAG(3)"        # more connections are open than max_size: overflow, or a resize

    const uint64_t WANTED "FP_FLAG(4)"         # another process waits for a permit that this pool could free

cdef struct Member:            # a pool's place among those of its shared name; its functions are in member.pxd
    Page *page               # NULL: nowhere, so no permit is to be had
    Row *row
    uint32_t number          # of the row
    intptr_t file            # the page's; -1: none
    intptr_t event           # what its watcher sleeps on, where that is not the row's word itself
    uint32_t left            # [atomic] the row is no longer this pool's
    thread_lock mutex        # while the need is published
    uint64_t stuck           # the need when it last changed, and when that was
    int64_t stuck_ns
    int64_t reaped_ns        # when this pool last looked for dead rows

cdef struct Pool:
    # Read by every checkout and checkin, written when something happens.  One cache line.
    uint64_t gate            # [atomic] number of waiters, and flags
    Idle idle
    uint64_t id              # never reused; 0: no pool
    uint64_t generation      # of the process this pool works in
    uint64_t spare[2]        # to the end of the line
    # Written where something slow is done anyway.
    uint64_t vacant          # [atomic] top of the stack of vacant slots
    uint64_t gone            # [atomic] top of the stack of slots that a resize removed
    uint32_t connecting      # [atomic] permits to connect that are out
    uint32_t max_connecting  # [atomic]
    Member *member           # NULL: the pool is not shared
    int64_t opened           # [atomic] connections open or being opened
    uint32_t max_size        # [atomic]
    uint32_t limit           # [atomic] max_size + max_overflow: slots in use, GONE ones excepted
    uint32_t active          # [atomic] slots that are not GONE; changed under the queue's mutex
    # Once per popped waiter that is not a thread: wake it, release its object.  False: it cannot be woken.
    bint (*wake)(Waiter *waiter) noexcept nogil
    Queue queue
    Table table


cdef inline bint permit_take(Pool *pool) noexcept nogil:
    """Take a permit to open a connection; False: as many as allowed are being opened."""
    cdef uint32_t seen
    while True:
        # seq_cst, as all that a waiter looks at after it has counted itself in the gate
        seen = u32_load_sc(&pool.connecting)
        if seen >= u32_load_sc(&pool.max_connecting):
            return False
        if u32_cas(&pool.connecting, seen, seen + 1):
            return True


cdef inline bint permit_take_ahead(Pool *pool) noexcept nogil:
    """As `permit_take`, for a connection opened ahead of use: no limit where callers open none (max_connecting 0)."""
    if u32_load(&pool.max_connecting) != 0:
        return permit_take(pool)
    u32_add(&pool.connecting, 1)
    return True


cdef inline void pool_permit_drop(Pool *pool) noexcept nogil:
    u32_add(&pool.connecting, <uint32_t>-1)
