"""The line of waiters, first come first served; one word decides each hand-off.

::

                  +--> HANDED ----> TAKEN      the giver won: the slot in it is the waiter's
    WAITING --CAS-+                └─> REVOKED  ... but the wake failed (its loop is gone): the giver's again
                  +--> TIMED_OUT    the waiter won: no slot was given
                  +--> CANCELLED    the waiter won (cancel, kill, KeyboardInterrupt, garbage)
                  +--> ABANDONED    close or fork won: no slot

Exactly one compare-and-swap leaves WAITING.  The giver writes ``slot`` before its swap and the waiter reads it after
it has seen HANDED.  The list is guarded by a mutex that is held only while its links change: no Python and no
allocation under it, and no wake-up but that of a new lookout.  A waiter has two references, one of its thread, task or
greenlet, and one of the queue (or of the giver that popped it); the last to be dropped frees it.

A few of the threads in line are lookouts: they wake every second and look around for all, and the others sleep until
their own deadline.  Only a thread in line is a lookout, and that changes under the mutex only.  So as long as a thread
that can be one is in line, there is a lookout: when the last one leaves, another thread becomes one in the same
section that unlinks it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from .atomic cimport i64_peek, u32_add, u32_load, u32_store, u32_swap, u64_add, u64_cas, u64_load, u64_store
from .clock cimport clock_stopped, clock_stops

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
    QUEUED_MASK = 0xFFFFFFFF   # low half of the gate: the number of waiters

cdef enum:
    LOOKOUTS = 4               # a thread that enters while there are fewer becomes one

cdef struct Waiter:
    uint64_t state     # [atomic] decides whose the slot is
    void *slot         # what was handed over; written before HANDED, read after
    Waiter *ahead      # links, under the mutex
    Waiter *behind
    uint32_t refs      # [atomic] 2: the waiting side, and the queue or a giver
    bint linked        # under the mutex
    uint32_t rung      # [atomic] its lock was released, and its thread has not woken yet
    uint32_t lookout   # [atomic] it looks around for all; written under the mutex
    bint may_look      # it can be a lookout; written before it enters the line
    thread_lock lock   # what a thread sleeps on; NULL for another kind of waiter
    void *object       # the Python object of another kind of waiter; borrowed
    uint64_t owner     # uid of the thread that waits
    int64_t since_ns

cdef struct Queue:
    thread_lock mutex
    Waiter *first
    Waiter *last
    uint32_t watchmen  # how many in line can be lookouts,
    uint32_t lookouts  # and how many are; under the mutex
    uint64_t stops     # [atomic] the last stop of the clock for which sleepers were woken


cdef inline int queue_open(Queue *queue) noexcept nogil:
    queue.mutex = lock_new()
    queue.first = queue.last = NULL
    queue.watchmen = queue.lookouts = 0
    queue.stops = u64_load(&clock_stops)
    return 0 if queue.mutex != NULL else -1


cdef inline Waiter *waiter_new(bint thread, uint64_t owner, int64_t now) noexcept nogil:
    """A waiter for one wait; never reused, so a late wake-up cannot reach another wait.  NULL: no memory."""
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


cdef inline void waiter_ring(Waiter *waiter) noexcept nogil:
    """Wake the thread that sleeps on this waiter, or is about to: what it has to see was written before.

    Not every system allows the release of a lock that is free, and several threads may wake the same one: to hand it a
    slot, to make it a lookout, or because the clock was stopped.  So only the first of them since it woke releases the
    lock; the others need not, because it looks after it has cleared `rung`.
    """
    if u32_swap(&waiter.rung, 1) == 0:
        lock_drop(waiter.lock)


cdef inline void waiter_woke(Waiter *waiter) noexcept nogil:
    """Called by a sleeper that has its lock, before it looks for the reason."""
    u32_swap(&waiter.rung, 0)


cdef inline void queue_appoint(Queue *queue, Waiter *waiter) noexcept nogil:
    """Make the waiter a lookout, under the mutex."""
    u32_store(&waiter.lookout, 1)
    queue.lookouts += 1


cdef inline void queue_dismiss(Queue *queue, Waiter *waiter) noexcept nogil:
    """Under the mutex, after the waiter was unlinked.  If no lookout is left, the last in line that can be one becomes
    it: that one is likely to stay longest."""
    cdef Waiter *heir
    queue.watchmen -= 1
    if not u32_load(&waiter.lookout):
        return
    u32_store(&waiter.lookout, 0)
    queue.lookouts -= 1
    if queue.lookouts != 0 or queue.watchmen == 0:
        return
    heir = queue.last
    while not heir.may_look:
        heir = heir.ahead
    queue_appoint(queue, heir)
    waiter_ring(heir)  # it may sleep until its own deadline


cdef inline void queue_mind_clock(Queue *queue) noexcept nogil:
    """Called by every thread whose sleep has timed out: if a test has stopped the clock, all sleepers are woken once,
    to sleep in short slices from now on.  They are found in the line, so a sleep needs no registration of its own."""
    cdef Waiter *waiter
    cdef uint64_t stops = u64_load(&clock_stops)
    if i64_peek(&clock_stopped) == 0 or u64_load(&queue.stops) == stops:
        return
    lock_take(queue.mutex, 1)
    u64_store(&queue.stops, stops)
    waiter = queue.first
    while waiter != NULL:
        if waiter.lock != NULL:
            waiter_ring(waiter)
        waiter = waiter.behind
    lock_drop(queue.mutex)


cdef inline uint64_t queue_enlist(Queue *queue, uint64_t *gate, Waiter *waiter, bint front) noexcept nogil:
    """Put the waiter in line (front: at its head, for it was served before).  Returns the gate as it was before."""
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
    if waiter.may_look:
        queue.watchmen += 1
        if queue.lookouts < LOOKOUTS:
            queue_appoint(queue, waiter)
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
    if waiter.may_look:
        queue_dismiss(queue, waiter)


cdef inline bint queue_leave(Queue *queue, uint64_t *gate, Waiter *waiter) noexcept nogil:
    """Take the waiter out of the line; False if a giver has popped it, and with it the queue's reference."""
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
    """Pop the first in line, with the queue's reference to it; NULL if the line is empty."""
    cdef Waiter *waiter
    lock_take(queue.mutex, 1)
    waiter = queue.first
    if waiter != NULL:
        queue_unlink(queue, gate, waiter)
    lock_drop(queue.mutex)
    return waiter


cdef inline bint waiter_settle(Waiter *waiter, uint64_t outcome) noexcept nogil:
    """Leave WAITING; False if another thread decided first."""
    return u64_cas(&waiter.state, WAITING, outcome)


cdef inline void *waiter_take(Waiter *waiter) noexcept nogil:
    """The slot that was handed over, NULL if there is none (or its giver has it back)."""
    if u64_load(&waiter.state) == HANDED and u64_cas(&waiter.state, HANDED, TAKEN):
        return waiter.slot
    return NULL
