"""The lease table: the owner, depth and time of each lease; and each thread's hints about the pools it used.

The table is the slots themselves: ``owner``, ``depth`` and ``since_ns`` of every slot that is LEASED.  A thread
remembers in its own block, for each of the last pools it used, the slot it had last (a hint) and how many leases it
took there without returning them itself.  That count is never too low, so 0 proves that the thread holds nothing; a
count that is too high (another thread returned one of them) costs a scan of the table, which corrects it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .atomic cimport HINTS, Thread, ThreadHint, i64_put, thread_self, u32_load, u64_load, u64_peek, u64_put, \
    u64_store
from .slot cimport IDLE, LEASED, Slot, slot_grab, slot_state
from .table cimport Table, table_slot

cdef extern from * nogil:
    "#define FP_NATIVE ((uint64_t)1 << 63)"
    const uint64_t NATIVE "FP_NATIVE"   # in `owner`: held by native code, through the C interface


cdef inline ThreadHint *hint_find(Thread *me, uint64_t pool) noexcept nogil:
    """This thread's hint about the pool, NULL if it has none."""
    cdef ThreadHint *hint = &me.hints[pool & (HINTS - 1)]
    return hint if hint.pool == pool else NULL


cdef inline uint32_t lease_count(Table *table, uint64_t owner, Slot **one) noexcept nogil:
    """The number of slots that this thread's leases hold, and one of them: scans the whole table."""
    cdef uint32_t found = 0
    cdef uint32_t index
    cdef Slot *slot
    for index in range(u32_load(&table.size)):
        slot = table_slot(table, index)
        if u64_peek(&slot.owner) == owner and slot_state(u64_load(&slot.word)) == LEASED:
            found += 1
            if one != NULL:
                one[0] = slot
    return found


cdef inline ThreadHint *hint_make(Thread *me, uint64_t pool, Table *table) noexcept nogil:
    """This thread's hint about the pool, a fresh one if another pool's had its place.

    Only a thread that once forgot a pool in which it held leases has to count its leases in the table.
    """
    cdef ThreadHint *hint = &me.hints[pool & (HINTS - 1)]
    if hint.pool != pool:
        if hint.held:
            me.forgot = 1
        hint.pool = pool
        hint.slot = NULL
        hint.held = lease_count(table, me.uid, NULL) if me.forgot else 0
    return hint


cdef inline bint lease_retake(ThreadHint *hint) noexcept nogil:
    """Take this thread's own last slot if it is idle: no shared line is written."""
    cdef Slot *slot = <Slot *>hint.slot
    cdef uint64_t word
    if slot == NULL:
        return False
    word = u64_load(&slot.word)
    return slot_state(word) == IDLE and slot_grab(slot, word)


cdef inline void lease_open(Slot *slot, Thread *me, ThreadHint *hint, int64_t now) noexcept nogil:
    """Enter the lease of a slot that the caller has just taken."""
    u64_put(&slot.owner, me.uid)
    u64_put(&slot.thread, me.ident)
    i64_put(&slot.since_ns, now)
    slot.depth = 1
    u64_put(&slot.checkouts, slot.checkouts + 1)  # written by the holder alone
    hint.slot = slot
    hint.held += 1


cdef inline void lease_lend(Slot *slot, Thread *me, ThreadHint *hint, int64_t now) noexcept nogil:
    """Enter a lease of native code: it is not this thread's own, and any thread may end it."""
    u64_put(&slot.thread, me.ident)
    i64_put(&slot.since_ns, now)
    slot.depth = 1
    u64_put(&slot.checkouts, slot.checkouts + 1)
    hint.slot = slot
    # release, and last: from here on a close(timeout) may end the lease, in another thread at the same time
    u64_store(&slot.owner, me.uid | NATIVE)


cdef inline void lease_shut(Slot *slot, Thread *me, ThreadHint *hint) noexcept nogil:
    """Remove the lease from the table; the slot is still the caller's."""
    if hint != NULL:
        if u64_peek(&slot.owner) == me.uid and hint.held:
            hint.held -= 1
        hint.slot = slot
    u64_put(&slot.owner, 0)
    u64_put(&slot.checkins, slot.checkins + 1)
