"""Those who wait, first come first served; one word decides each hand-off.

::

                  +--> HANDED ----> TAKEN      the giver won: the slot in it is the waiter's
    WAITING --CAS-+                └─> REVOKED  ... but the wake failed (its loop is gone): the giver's again
                  +--> TIMED_OUT    the waiter won: no slot was given
                  +--> CANCELLED    the waiter won (cancel, kill, KeyboardInterrupt, garbage)
                  +--> ABANDONED    close or fork won: no slot

Exactly one compare-and-swap leaves WAITING.  The giver writes ``slot`` before its swap and the waiter reads it after
it has seen HANDED.  The list is guarded by a mutex that is held for the surgery on its links and nothing else: no
Python, no memory, no waking under it.  A waiter belongs to two: the one who waits and the queue (or the giver who
popped it); the last to let go frees it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from .atomic cimport u32_add, u64_add, u64_cas, u64_load

cdef extern from "pythread.h" nogil:
    ctypedef void *thread_lock "PyThread_type_lock"
    ctypedef enum lock_status "PyLockStatus":
        LOCK_FAILURE "PY_LOCK_FAILURE"
        LOCK_ACQUIRED "PY_LOCK_ACQUIRED"
        LOCK_INTR "PY_LOCK_INTR"
    thread_lock lock_new "PyThread_allocate_lock"() noexcept
    void lock_free "PyThread_free_lock"(thread_lock lock) noexcept
    int lock_take "PyThread_acquire_lock"(thread_lock lock, int wait) noexcept
    void lock_drop "PyThread_release_lock"(thread_lock lock) noexcept
    lock_status lock_take_timed "PyThread_acquire_lock_timed"(thread_lock lock, long long us, int intr) noexcept

cdef enum:
    WAITING = 0
    HANDED = 1
    TAKEN = 2
    REVOKED = 3
    TIMED_OUT = 4
    CANCELLED = 5
    ABANDONED = 6

cdef enum:
    QUEUED_MASK = 0xFFFFFFFF   # low half of the gate: how many wait

cdef struct Waiter:
    uint64_t state     # [atomic] decides who has what
    void *slot         # what was handed over; written before HANDED, read after
    Waiter *ahead      # links, under the mutex
    Waiter *behind
    uint32_t refs      # [atomic] 2: the one who waits, and the queue or a giver
    bint linked        # under the mutex
    thread_lock lock   # what a thread sleeps on; NULL for another kind of waiter
    void *object       # another kind of waiter's own affair (a Python object); not owned
    uint64_t owner     # uid of the thread that waits
    int64_t since_ns

cdef struct Queue:
    thread_lock mutex
    Waiter *first
    Waiter *last


cdef inline int queue_open(Queue *queue) noexcept nogil:
    queue.mutex = lock_new()
    queue.first = queue.last = NULL
    return 0 if queue.mutex != NULL else -1


cdef inline Waiter *waiter_new(bint thread, uint64_t owner, int64_t now) noexcept nogil:
    """A waiter for one wait; never kept for another, so no late wake can meet the wrong one.  NULL: no memory."""
    cdef Waiter *waiter = <Waiter *>calloc(1, sizeof(Waiter))
    if waiter == NULL:
        return NULL
    if thread:
        waiter.lock = lock_new()
        if waiter.lock == NULL:
            free(waiter)
            return NULL
        lock_take(waiter.lock, 1)
    waiter.refs = 1
    waiter.owner = owner
    waiter.since_ns = now
    return waiter


cdef inline void waiter_drop(Waiter *waiter) noexcept nogil:
    if u32_add(&waiter.refs, <uint32_t>-1) == 1:
        if waiter.lock != NULL:
            lock_free(waiter.lock)
        free(waiter)


cdef inline uint64_t queue_enlist(Queue *queue, uint64_t *gate, Waiter *waiter, bint front) noexcept nogil:
    """Put the waiter in line (in front: it had been served already).  The gate as it was before."""
    cdef uint64_t before
    lock_take(queue.mutex, 1)
    u32_add(&waiter.refs, 1)
    # seq_cst: registered before this thread looks at the free set once more
    before = u64_add(gate, 1)
    waiter.linked = True
    if front:
        waiter.ahead = NULL
        waiter.behind = queue.first
        if queue.first != NULL:
            queue.first.ahead = waiter
        else:
            queue.last = waiter
        queue.first = waiter
    else:
        waiter.behind = NULL
        waiter.ahead = queue.last
        if queue.last != NULL:
            queue.last.behind = waiter
        else:
            queue.first = waiter
        queue.last = waiter
    lock_drop(queue.mutex)
    return before


cdef inline void queue_unlink(Queue *queue, uint64_t *gate, Waiter *waiter) noexcept nogil:
    """Under the mutex."""
    if waiter.ahead != NULL:
        waiter.ahead.behind = waiter.behind
    else:
        queue.first = waiter.behind
    if waiter.behind != NULL:
        waiter.behind.ahead = waiter.ahead
    else:
        queue.last = waiter.ahead
    waiter.linked = False
    u64_add(gate, <uint64_t>-1)


cdef inline bint queue_leave(Queue *queue, uint64_t *gate, Waiter *waiter) noexcept nogil:
    """Out of the line, wherever it stands in it; False if a giver popped it, and with it the queue's share."""
    cdef bint was
    lock_take(queue.mutex, 1)
    was = waiter.linked
    if was:
        queue_unlink(queue, gate, waiter)
    lock_drop(queue.mutex)
    if was:
        waiter_drop(waiter)
    return was


cdef inline Waiter *queue_pop(Queue *queue, uint64_t *gate) noexcept nogil:
    """The first in line, with the queue's share of it; NULL if nobody is."""
    cdef Waiter *waiter
    lock_take(queue.mutex, 1)
    waiter = queue.first
    if waiter != NULL:
        queue_unlink(queue, gate, waiter)
    lock_drop(queue.mutex)
    return waiter


cdef inline bint waiter_settle(Waiter *waiter, uint64_t outcome) noexcept nogil:
    """Leave WAITING; False if somebody else decided first."""
    return u64_cas(&waiter.state, WAITING, outcome)


cdef inline void *waiter_take(Waiter *waiter) noexcept nogil:
    """The slot that was handed over, NULL if there is none (or its giver has it back)."""
    if u64_load(&waiter.state) == HANDED and u64_cas(&waiter.state, HANDED, TAKEN):
        return waiter.slot
    return NULL
