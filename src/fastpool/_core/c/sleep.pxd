"""The wait of a thread as native code, for callers without the GIL.

It uses the line of all other waiters; unlike in `line_wait` of the core, no signal handler can run here, so only a
slot, the deadline or the end of the pool ends the sleep.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from .atomic cimport i64_peek, u32_load, u64_add, u64_load
from .clock cimport clock_ns, clock_stopped
from .pool cimport CLOSED, Pool, pool_pass, pool_settle
from .slot cimport Slot
from .waitq cimport CANCELLED, LOCK_ACQUIRED, TIMED_OUT, WAITING, Queue, Waiter, lock_take_timed, queue_enlist, \
    queue_leave, queue_mind_clock, waiter_drop, waiter_new, waiter_settle, waiter_take, waiter_woke

cdef enum:
    SLEPT_WELL = 0   # a slot was given
    TOO_LATE = 1     # the deadline came first
    POOL_CLOSED = 2
    OUT_OF_MEMORY = 3

cdef enum:
    LOOK_US = 1_000_000         # one sleep of a lookout, between two looks around

cdef extern from * nogil:
    "#define FP_LONGEST_US 1000000000000LL"
    const int64_t LONGEST_US "FP_LONGEST_US"   # one sleep of another thread: not every system allows more

ctypedef void (*Look)(void *what) noexcept nogil


cdef inline void sleep_until(Queue *queue, Waiter *waiter, int64_t deadline, Look look, void *what) noexcept nogil:
    """Sleep until the wait is decided, or until the deadline (in ns; INT64_MAX: none)."""
    cdef int64_t left, most
    while u64_load(&waiter.state) == WAITING:
        left = INT64_MAX
        if deadline != INT64_MAX:
            left = deadline - clock_ns()
            if left <= 0:
                return
        left = left // 1000 + 1
        most = LOOK_US if u32_load(&waiter.lookout) or i64_peek(&clock_stopped) else LONGEST_US
        if lock_take_timed(waiter.lock, left if left < most else most, 0) == LOCK_ACQUIRED:
            waiter_woke(waiter)
            continue
        queue_mind_clock(queue)
        if look != NULL:
            look(what)


cdef inline Slot *sleep_in_line(Pool *pool, uint64_t owner, int64_t deadline, bint front, uint64_t *waits,
                                Look look, void *what, int *said) noexcept nogil:
    """Wait for a slot: LEASED with a connection or CONNECTING, and the caller's.  NULL: `said` tells why.

    waits: [atomic] counts callers that were not served at once and had time to wait.  look: called with `what` every
    second while this thread is a lookout and nothing comes, and at the deadline; NULL if there is nothing to look for.
    """
    cdef Waiter *waiter = waiter_new(True, owner, clock_ns())
    cdef Slot *slot
    if waiter == NULL:
        said[0] = OUT_OF_MEMORY
        return NULL
    waiter.may_look = True
    said[0] = SLEPT_WELL
    if queue_enlist(&pool.queue, &pool.gate, waiter, front) & CLOSED:
        said[0] = POOL_CLOSED
    else:
        pool_settle(pool)
        if u64_load(&waiter.state) == WAITING and (deadline == INT64_MAX or clock_ns() < deadline):
            u64_add(waits, 1)
            sleep_until(&pool.queue, waiter, deadline, look, what)
        if u64_load(&waiter.state) == WAITING:
            said[0] = TOO_LATE
    if said[0] != SLEPT_WELL and waiter_settle(waiter, TIMED_OUT if said[0] == TOO_LATE else CANCELLED):
        queue_leave(&pool.queue, &pool.gate, waiter)
        waiter_drop(waiter)
        return NULL
    slot = <Slot *>waiter_take(waiter)
    waiter_drop(waiter)
    if slot == NULL:
        said[0] = POOL_CLOSED  # ABANDONED
    elif said[0] == POOL_CLOSED:
        pool_pass(pool, slot)  # handed over before this thread saw that the pool is closed
        slot = NULL
    else:
        said[0] = SLEPT_WELL   # perhaps a late success
    return slot
