"""Drives the C parts of the core alone, one step at a time; built for tests, never shipped.

A `Rig` is one native pool without Python objects. Its methods are the parts' own functions, down to the steps that two
threads can interleave, so a test plays a race by hand: it calls one's first step, then the other's, then the rest.
Slots are named by their index, None for no slot. `Line` is a waiter, `Owner` a thread's state.
"""

cdef extern from * nogil:
    """
    /* before atomic.h: the number of atomic accesses of this thread, which measures an operation's cost */
    static __thread unsigned long long fp_accesses;
    #define FP_PAUSE() ((void)fp_accesses++)
    """
    unsigned long long fp_accesses

cimport cython
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fastpool._core.c.atomic cimport LINE, HINTS, Thread, ThreadHint, i64_peek, thread_self, u32_load, u32_peek, \
    u64_and, u64_load, u64_or, u64_peek, u64_put
from fastpool._core.c.clock cimport clock_begin, clock_coarse_ns, clock_near_ns, clock_ns, clock_order, clock_real, \
    clock_set
from fastpool._core.c.count cimport BUCKETS, Histogram, histogram_add, histogram_bucket, histogram_edge
from fastpool._core.c.idle cimport idle_pop, idle_publish, idle_push, idle_put, idle_take, idle_unlist, vacant_put, \
    vacant_take
from fastpool._core.c.lease cimport lease_count, lease_open, lease_retake, lease_shut, hint_find, hint_make
from fastpool._core.c.pool cimport CLOSED, Pool, permit_take, pool_abandon_waiters, pool_give, pool_give_vacant, \
    pool_hand, pool_pass, pool_permit_back, pool_permit_drop, pool_put_back, pool_settle, pool_shrink_vacant, \
    pool_take_free, pool_take_vacant
from fastpool._core.c.sleep cimport sleep_in_line
from fastpool._core.c.slot cimport EPOCH, LEASED, LISTED, STATE, Slot, slot_grab, slot_lease, slot_move, slot_state
from fastpool._core.c.table cimport CHUNKS, MOST_SLOTS, table_chunks, table_free, table_grow, table_slot, table_warm, \
    table_warm_words
from fastpool._core.c.waitq cimport LOCK_ACQUIRED, QUEUED_MASK, Waiter, lock_drop, lock_free, lock_take, \
    lock_take_timed, queue_enlist, queue_leave, queue_mind_clock, queue_open, queue_pop, waiter_drop, waiter_new, \
    waiter_ring, waiter_settle, waiter_take, waiter_woke

STATES = ("VACANT", "CONNECTING", "IDLE", "LEASED", "RETIRING", "GONE")
OUTCOMES = ("WAITING", "HANDED", "TAKEN", "REVOKED", "TIMED_OUT", "CANCELLED", "ABANDONED")
SLEPT = ("slot", "too late", "closed", "no memory")
SLOT_BYTES = sizeof(Slot)
LINE_BYTES = LINE
WAITER_BYTES = sizeof(Waiter)
HINTS_KEPT = HINTS
SLOTS_AT_MOST = MOST_SLOTS
EPOCH_STEP = EPOCH


cdef struct WakeCount:
    int rung      # how often the waiter was woken
    bint deaf     # its loop is gone: waking fails
    bint gone     # released by the queue


cdef bint ring(Waiter *waiter) noexcept nogil:
    cdef WakeCount *wakes = <WakeCount *>waiter.object
    wakes.rung += 1
    return not wakes.deaf


cdef object name_of(Slot *slot):
    return None if slot == NULL else slot.index


cdef class Rig:
    """One native pool."""
    cdef Pool pool
    cdef readonly uint64_t waits     # how many calls of `sleep` had to wait

    def __cinit__(self, uint32_t limit=8, uint32_t max_connecting=1 << 20, bint oldest_first=False):
        self.pool.id = thread_self().uid << 32 | <uint32_t><size_t><void *>self
        self.pool.wake = ring
        self.pool.max_size = self.pool.limit = limit
        self.pool.max_connecting, self.pool.idle.oldest_first = max_connecting, oldest_first
        if queue_open(&self.pool.queue) < 0:
            raise MemoryError

    def __dealloc__(self):
        table_free(&self.pool.table)
        lock_free(self.pool.queue.mutex)

    cdef Slot *at(self, uint32_t index) except NULL:
        if index >= u32_load(&self.pool.table.size):
            raise IndexError(f"slot {index} does not exist, the table has {u32_load(&self.pool.table.size)}")
        return table_slot(&self.pool.table, index)

    @property
    def pool_id(self):
        return self.pool.id

    # ---- the table ----------------------------------------------------------------------------------------------

    def grow(self):
        return table_grow(&self.pool.table) == 0

    @property
    def size(self):
        return u32_load(&self.pool.table.size)

    def address(self, uint32_t index):
        return <size_t>self.at(index)

    @property
    def chunks(self):
        return table_chunks(&self.pool.table)

    def warm_place(self, uint32_t index):
        """(address of its word in the warm map, its bit)."""
        cdef uint64_t bit
        self.at(index)
        return <size_t>table_warm(&self.pool.table, index, &bit), bit

    @property
    def table_bytes(self):
        """Memory that the table holds."""
        cdef int chunk
        total = 0
        for chunk in range(CHUNKS):
            if self.pool.table.chunks[chunk] != NULL:
                total += (<size_t>8 << chunk) * sizeof(Slot) + table_warm_words(chunk) * sizeof(uint64_t)
        return total

    # ---- a slot's word ------------------------------------------------------------------------------------------

    def word(self, uint32_t index):
        return u64_load(&self.at(index).word)

    def state(self, uint32_t index):
        return STATES[slot_state(u64_load(&self.at(index).word))]

    def epoch(self, uint32_t index):
        return u64_load(&self.at(index).word) // EPOCH

    def listed(self, uint32_t index):
        return (u64_load(&self.at(index).word) & LISTED) != 0

    def spare_bits(self, uint32_t index):
        """The bits between LISTED and the epoch: always 0."""
        return u64_load(&self.at(index).word) & (EPOCH - 1) & ~<uint64_t>(STATE | LISTED)

    def set_word(self, uint32_t index, uint64_t word):
        u64_put(&self.at(index).word, word)

    def move(self, uint32_t index, str state):
        return slot_move(self.at(index), STATES.index(state))

    def grab(self, uint32_t index, uint64_t seen):
        return slot_grab(self.at(index), seen)

    @staticmethod
    def lease_word(uint64_t word):
        return slot_lease(word)

    # ---- the idle set -------------------------------------------------------------------------------------------

    def put(self, uint32_t index):
        idle_put(&self.pool.idle, &self.pool.table, self.at(index))

    def publish(self, uint32_t index):
        """First half of `put`; True: `push` must follow."""
        return idle_publish(&self.pool.idle, &self.pool.table, self.at(index))

    def push(self, uint32_t index):
        idle_push(&self.pool.idle, &self.pool.table, self.at(index))

    def take(self):
        return name_of(idle_take(&self.pool.idle, &self.pool.table))

    @property
    def head(self):
        return u64_load(&self.pool.idle.head)

    def pop(self, head=None):
        """First half of `take`: an entry in hand; None: the head is not as seen any more, or the stack is empty."""
        cdef uint64_t seen = self.head if head is None else head
        if <uint32_t>seen == 0:
            return None
        return name_of(idle_pop(&self.pool.idle, &self.pool.table, seen))

    def unlist(self, uint32_t index):
        """Second half: LISTED off; True: the slot was idle and is ours now."""
        return idle_unlist(&self.pool.idle, &self.pool.table, self.at(index))

    @property
    def warm(self):
        """(the count, the slots whose bits are set)."""
        cdef uint64_t bit
        cdef uint32_t i
        cdef list found = []
        for i in range(self.size):
            if u64_peek(table_warm(&self.pool.table, i, &bit)) & bit:
                found.append(i)
        return u64_peek(&self.pool.idle.warm), found

    def stack(self):
        """The idle stack's entries, top first, stale ones included."""
        cdef uint32_t entry = <uint32_t>u64_load(&self.pool.idle.head)
        cdef list found = []
        while entry:
            found.append(entry - 1)
            if len(found) > MOST_SLOTS:
                raise AssertionError("the idle stack runs in a circle")
            entry = u32_peek(&self.at(entry - 1).next_idle)
        return found

    # ---- vacant and gone slots, permits -------------------------------------------------------------------------

    def vacant_put(self, uint32_t index):
        vacant_put(&self.pool.vacant, self.at(index))

    def vacant_take(self):
        return name_of(vacant_take(&self.pool.vacant, &self.pool.table))

    def vacant_stack(self, bint gone=False):
        cdef uint32_t entry = <uint32_t>u64_load(&self.pool.gone if gone else &self.pool.vacant)
        cdef list found = []
        while entry:
            found.append(entry - 1)
            entry = u32_peek(&self.at(entry - 1).next_vacant)
        return found

    def permit_take(self):
        return permit_take(&self.pool)

    def permit_drop(self):
        pool_permit_drop(&self.pool)

    def permit_back(self):
        pool_permit_back(&self.pool)

    def resize(self, uint32_t limit):
        """As the core does it, without the settling, which is a separate step."""
        self.pool.max_size = self.pool.limit = limit
        pool_shrink_vacant(&self.pool)

    # ---- the whole ----------------------------------------------------------------------------------------------

    def take_free(self):
        return name_of(pool_take_free(&self.pool))

    def take_vacant(self):
        return name_of(pool_take_vacant(&self.pool))

    def connected(self, uint32_t index):
        """A CONNECTING slot's connect succeeded."""
        slot_move(self.at(index), LEASED)
        pool_permit_back(&self.pool)

    def give(self, uint32_t index):
        pool_give(&self.pool, self.at(index))

    def give_vacant(self, uint32_t index, bint permit):
        pool_give_vacant(&self.pool, self.at(index), permit)

    def give_on(self, uint32_t index):
        pool_pass(&self.pool, self.at(index))

    def put_back(self, uint32_t index):
        pool_put_back(&self.pool, self.at(index))

    def hand(self, uint32_t index):
        return pool_hand(&self.pool, self.at(index))

    def settle(self):
        with nogil:
            pool_settle(&self.pool)

    def close(self):
        u64_or(&self.pool.gate, CLOSED)
        pool_abandon_waiters(&self.pool)

    def reopen(self):
        u64_and(&self.pool.gate, ~CLOSED)

    @property
    def waiting(self):
        return u64_load(&self.pool.gate) & QUEUED_MASK

    @property
    def line(self):
        """The addresses of the waiters, first in line first; both directions of the list must agree."""
        cdef Waiter *waiter
        cdef list found = []
        lock_take(self.pool.queue.mutex, 1)
        waiter = self.pool.queue.first
        while waiter != NULL:
            found.append(<size_t>waiter)
            waiter = waiter.behind
        back = []
        waiter = self.pool.queue.last
        while waiter != NULL:
            back.append(<size_t>waiter)
            waiter = waiter.ahead
        lock_drop(self.pool.queue.mutex)
        assert back == found[::-1], "the line's links disagree"
        return found

    def counts(self):
        """(opened, connecting, active, limit)."""
        return (i64_peek(&self.pool.opened), u32_load(&self.pool.connecting), u32_load(&self.pool.active),
                u32_load(&self.pool.limit))

    def mind_clock(self):
        queue_mind_clock(&self.pool.queue)

    def sleep(self, int64_t timeout_ns, bint front=False):
        """A thread's whole wait, without the GIL; -1: no limit. (slot or None, how it ended)."""
        cdef int said = 0
        cdef Slot *slot
        cdef int64_t deadline = INT64_MAX if timeout_ns < 0 else clock_ns() + timeout_ns
        with nogil:
            slot = sleep_in_line(&self.pool, thread_self().uid, deadline, front, &self.waits, NULL, NULL, &said)
        return name_of(slot), SLEPT[said]


@cython.no_gc_clear  # __dealloc__ needs the rig, also when the two are found together in a garbage cycle
cdef class Line:
    """A waiter: a thread (it has a lock to sleep on) or another kind (its wake-ups are counted)."""
    cdef Rig rig
    cdef Waiter *waiter
    cdef WakeCount wakes

    def __cinit__(self, Rig rig not None, bint thread=False, bint deaf=False, bint may_look=False):
        self.rig = rig
        self.waiter = waiter_new(thread, thread_self().uid, clock_ns())
        if self.waiter == NULL:
            raise MemoryError
        self.wakes.deaf = deaf
        self.waiter.may_look = may_look
        self.waiter.object = &self.wakes

    def __dealloc__(self):
        if self.waiter != NULL:
            queue_leave(&self.rig.pool.queue, &self.rig.pool.gate, self.waiter)
            waiter_drop(self.waiter)

    def enlist(self, bint front=False):
        """Returns the number of waiters before this one."""
        return queue_enlist(&self.rig.pool.queue, &self.rig.pool.gate, self.waiter, front) & QUEUED_MASK

    def leave(self):
        return queue_leave(&self.rig.pool.queue, &self.rig.pool.gate, self.waiter)

    def settle(self, str outcome):
        return waiter_settle(self.waiter, OUTCOMES.index(outcome))

    def take(self):
        return name_of(<Slot *>waiter_take(self.waiter))

    def pop(self):
        """First half of a giver's `hand`: takes the first in line, which must be this one, out of it."""
        cdef Waiter *first = queue_pop(&self.rig.pool.queue, &self.rig.pool.gate)
        assert first == self.waiter, "another waiter is first in line"

    def give(self, uint32_t index):
        """Second half of a giver's `hand`; False: the waiter decided first, and the slot is still the giver's."""
        self.waiter.slot = self.rig.at(index)
        won = waiter_settle(self.waiter, OUTCOMES.index("HANDED"))
        if self.waiter.lock == NULL:
            ring(self.waiter)
        elif won:
            waiter_ring(self.waiter)
        waiter_drop(self.waiter)
        return won

    def woken(self):
        """Whether the thread's lock has been released, which wakes it; takes the lock again."""
        rung = lock_take_timed(self.waiter.lock, 0, 0) == LOCK_ACQUIRED
        if rung:
            waiter_woke(self.waiter)
        return rung

    def ring(self):
        waiter_ring(self.waiter)

    @property
    def lookout(self):
        return u32_load(&self.waiter.lookout)

    @property
    def address(self):
        return <size_t>self.waiter

    @property
    def state(self):
        return OUTCOMES[u64_load(&self.waiter.state)]

    @property
    def refs(self):
        return u32_load(&self.waiter.refs)

    @property
    def rung(self):
        return self.wakes.rung


cdef class Owner:
    """A thread's state in the core, so that one test can play several threads."""
    cdef Thread block
    cdef readonly Rig rig

    def __cinit__(self, Rig rig not None, uint64_t uid):
        memset(&self.block, 0, sizeof(Thread))
        self.rig = rig
        self.block.uid = uid
        self.block.ident = uid

    def hint(self, pool=None):
        """Create the hint for the pool; the former (hint, held), None if there was no hint."""
        cdef uint64_t key = self.rig.pool.id if pool is None else pool
        cdef ThreadHint *hint = hint_find(&self.block, key)
        before = None if hint == NULL else (name_of(<Slot *>hint.slot), hint.held)
        hint_make(&self.block, key, &self.rig.pool.table)
        return before

    @property
    def held(self):
        return hint_make(&self.block, self.rig.pool.id, &self.rig.pool.table).held

    def leases(self):
        """The number of leases that the table counts for this thread."""
        return lease_count(&self.rig.pool.table, self.block.uid, NULL)

    def retake(self):
        """Take the thread's own last slot, if that is idle."""
        cdef ThreadHint *hint = hint_make(&self.block, self.rig.pool.id, &self.rig.pool.table)
        return name_of(<Slot *>hint.slot) if lease_retake(hint) else None

    def open(self, uint32_t index):
        """Enter a lease of a slot that was just taken."""
        lease_open(self.rig.at(index), &self.block, hint_make(&self.block, self.rig.pool.id, &self.rig.pool.table),
                   clock_coarse_ns())

    def shut(self, uint32_t index):
        """End a lease; the slot is still the caller's."""
        lease_shut(self.rig.at(index), &self.block, hint_find(&self.block, self.rig.pool.id))

    def seen(self, uint32_t index):
        """(owner, depth, checkouts, checkins) as the table has them."""
        cdef Slot *slot = self.rig.at(index)
        return u64_peek(&slot.owner), slot.depth, u64_peek(&slot.checkouts), u64_peek(&slot.checkins)


cdef class Durations:
    """One histogram."""
    cdef Histogram histogram

    def add(self, int64_t ns):
        histogram_add(&self.histogram, ns)

    def add_many(self, int64_t ns, int times):
        cdef int _
        with nogil:
            for _ in range(times):
                histogram_add(&self.histogram, ns)

    def read(self):
        """(count, sum, greatest, counts by bucket)."""
        cdef int i
        return (u64_peek(&self.histogram.count), i64_peek(&self.histogram.sum_ns), u64_peek(&self.histogram.max_ns),
                [u64_peek(&self.histogram.buckets[i]) for i in range(BUCKETS)])


def bucket_of(uint64_t ns):
    return histogram_bucket(ns)


def edges():
    cdef int i
    return [histogram_edge(i) for i in range(BUCKETS)]


clock_begin()


def clocks():
    """(precise, coarse, the real one, order)."""
    return clock_ns(), clock_coarse_ns(), clock_real(), clock_order()


def near_clock():
    """(before, the near clock, after): the precise clock on both sides of it."""
    cdef int64_t before = clock_ns()
    cdef int64_t near = clock_near_ns(thread_self())
    return before, near, clock_ns()


def stop_clock(int64_t ns):
    """This module's copy of the clock; 0: it runs."""
    clock_set(ns)


def accesses():
    """The number of atomic accesses that the parts have made in this thread."""
    return fp_accesses


def thread_uid():
    return thread_self().uid
