"""Checkout and checkin as native code: how the parts work together.

The pair of sequences that keeps a wake-up from being lost::

    a waiter                                   a returner
    --------                                   ----------
    1. count itself in the gate    (RMW)       1. publish the slot            (RMW on its word or on a head)
    2. look at the free sets once more         2. look at the gate once more

Each side writes its own word and then reads the other's, all sequentially consistent, so at least one of them sees
the other: either the waiter finds the slot or the returner finds the waiter.  Both then call `pool_settle`, which
hands free slots to waiters, from the front, until there are no more of one or the other.  The write is the
read-modify-write of the word itself and not a fence beside it: ThreadSanitizer and the models follow words.  The same
rule holds for everything else that frees capacity: a failed connect, a discard, a permit to connect that is returned,
a resize, a waiter that gave up after it was handed a slot.  The gate is one word: the number of waiters (low half),
and the flags for which the fast paths stop (high half).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .atomic cimport i64_add, u32_add, u32_load, u32_load_sc, u32_store, u64_cas, u64_load_sc, u64_peek
from .idle cimport idle_put, idle_take, vacant_put, vacant_take
from .room cimport CLOSED, OVER_SIZE, SLOW_GIVE, SLOW_TAKE, WANTED, Pool, Member, permit_take, \
    permit_take_ahead, pool_permit_drop
from .member cimport member_ask, member_give, member_publish, member_take
from .slot cimport CONNECTING, GONE, LEASED, VACANT, Slot, slot_move, slot_state
from .table cimport table_grow, table_slot
from .waitq cimport ABANDONED, HANDED, QUEUED_MASK, REVOKED, Waiter, lock_drop, lock_take, queue_pop, \
    waiter_drop, waiter_ring, waiter_settle

cdef inline bint pool_below_limit(Pool *pool) noexcept nogil:
    return u32_load_sc(&pool.active) < u32_load_sc(&pool.limit)


cdef inline Slot *pool_new_slot(Pool *pool) noexcept nogil:
    """Put one more slot in use, if the limit and the memory allow it: VACANT and the caller's; else NULL."""
    cdef Slot *slot = NULL
    if not pool_below_limit(pool):
        return NULL
    lock_take(pool.queue.mutex, 1)
    if pool.active < u32_load(&pool.limit):
        slot = vacant_take(&pool.gone, &pool.table)
        if slot == NULL:
            if table_grow(&pool.table) == 0:
                slot = table_slot(&pool.table, u32_load(&pool.table.size) - 1)
            else:
                u32_store(&pool.limit, pool.active)  # no memory for more: keep to the slots there are
        if slot != NULL:
            u32_add(&pool.active, 1)
            slot_move(slot, VACANT)
    lock_drop(pool.queue.mutex)
    return slot


cdef inline bint pool_shrink(Pool *pool, Slot *slot) noexcept nogil:
    """Take a vacant slot out of use if the pool has shrunk; True if it has.  The caller settles."""
    cdef bint over
    if u32_load(&pool.active) <= u32_load(&pool.limit):
        return False
    lock_take(pool.queue.mutex, 1)
    over = pool.active > u32_load(&pool.limit)
    if over:
        u32_add(&pool.active, <uint32_t>-1)  # seq_cst: it may make room, and the caller looks at the gate next
        slot_move(slot, GONE)
        vacant_put(&pool.gone, slot)
    lock_drop(pool.queue.mutex)
    return over


cdef inline void pool_shrink_vacant(Pool *pool) noexcept nogil:
    """After a shrink: remove surplus vacant slots at once.  No permit is needed: nobody connects in them."""
    cdef Slot *slot
    while u32_load(&pool.active) > u32_load(&pool.limit):
        slot = vacant_take(&pool.vacant, &pool.table)
        if slot == NULL:
            return
        if not pool_shrink(pool, slot):
            # Grown again meanwhile.  A waiter may have missed it while it was in hand: the caller settles.
            vacant_put(&pool.vacant, slot)


cdef inline bint pool_has_room(Pool *pool) noexcept nogil:
    return <uint32_t>u64_load_sc(&pool.vacant) != 0 or pool_below_limit(pool)


cdef inline Slot *pool_take_vacant(Pool *pool) noexcept nogil:
    """Room for a new connection, with a permit to open it: CONNECTING and the caller's; else NULL."""
    return pool_take_room(pool, False)


cdef inline Slot *pool_take_room(Pool *pool, bint ahead) noexcept nogil:
    """As `pool_take_vacant`; ahead: for a connection that is opened ahead of use."""
    cdef Slot *slot
    # Again after a permit was returned: a waiter may have looked for one in between and gone to sleep.
    while pool_has_room(pool) and (permit_take_ahead(pool) if ahead else permit_take(pool)):
        if pool.member != NULL and not member_take(pool.member):
            pool_permit_drop(pool)
            member_publish(pool, False)  # a waiter that found that permit taken is in need of both now
            return NULL
        slot = vacant_take(&pool.vacant, &pool.table)
        if slot == NULL:
            slot = pool_new_slot(pool)
        elif pool_shrink(pool, slot):
            slot = NULL  # the pool has shrunk since it became vacant
        if slot != NULL:
            slot_move(slot, CONNECTING)
            i64_add(&pool.opened, 1)
            return slot
        pool_permit_drop(pool)
        if pool.member != NULL:
            member_give(pool.member)
    return NULL


cdef inline Slot *pool_take_free(Pool *pool) noexcept nogil:
    """The idle slot returned last (LEASED now), else a vacant one (CONNECTING now), else NULL."""
    cdef Slot *slot = idle_take(&pool.idle, &pool.table)
    return slot if slot != NULL else pool_take_vacant(pool)


cdef inline bint pool_hand(Pool *pool, Slot *slot) noexcept nogil:
    """Hand a slot that the caller owns to the first waiter; False: there is none, it is still the caller's."""
    cdef Waiter *waiter
    while True:
        waiter = queue_pop(&pool.queue, &pool.gate)
        if waiter == NULL:
            return False
        waiter.slot = slot
        if waiter_settle(waiter, HANDED):
            if waiter.lock != NULL:
                waiter_ring(waiter)
                waiter_drop(waiter)
                return True
            if pool.wake(waiter) or not u64_cas(&waiter.state, HANDED, REVOKED):
                waiter_drop(waiter)
                return True
        elif waiter.lock == NULL:
            pool.wake(waiter)  # decided already: this only releases its object
        waiter_drop(waiter)


cdef inline void pool_settle(Pool *pool) noexcept nogil:
    """Hand free slots to waiters, until there are no more of one or the other."""
    cdef Slot *slot
    cdef bint asked = False
    while u64_load_sc(&pool.gate) & QUEUED_MASK:
        slot = pool_take_free(pool)
        if slot == NULL:
            if asked or pool.member == NULL or not member_ask(pool):
                return
            asked = True  # the need is published: look once more
        elif not pool_hand(pool, slot):
            pool_put_back(pool, slot)
    if pool.member != NULL:
        member_publish(pool, False)


cdef inline void pool_settle_if(Pool *pool) noexcept nogil:
    if u64_load_sc(&pool.gate) & QUEUED_MASK:
        pool_settle(pool)


cdef inline void pool_permit_back(Pool *pool) noexcept nogil:
    """Return a permit: a connect ended, so another may begin."""
    pool_permit_drop(pool)
    pool_settle_if(pool)


cdef inline void pool_publish_vacant(Pool *pool, Slot *slot) noexcept nogil:
    """Make the caller's slot, which has no connection, room for one; does not settle."""
    slot_move(slot, VACANT)
    i64_add(&pool.opened, -1)
    if not pool_shrink(pool, slot):
        vacant_put(&pool.vacant, slot)


cdef inline void pool_put_back(Pool *pool, Slot *slot) noexcept nogil:
    """Undo a take, without settling: the caller looks at the gate next."""
    if slot_state(u64_peek(&slot.word)) == CONNECTING:
        pool_publish_vacant(pool, slot)
        pool_permit_drop(pool)
        if pool.member != NULL:
            member_give(pool.member)
    else:
        idle_put(&pool.idle, &pool.table, slot)


cdef inline void pool_give(Pool *pool, Slot *slot) noexcept nogil:
    """Return a LEASED slot with its connection: to the first waiter, else to the idle slots."""
    if u64_load_sc(&pool.gate) & QUEUED_MASK:
        slot_move(slot, LEASED)  # the next lease has another word
        if pool_hand(pool, slot):
            return
    idle_put(&pool.idle, &pool.table, slot)
    pool_settle_if(pool)


cdef inline void pool_give_vacant(Pool *pool, Slot *slot, bint permit) noexcept nogil:
    """Return a slot whose connection is gone (or never came), and the permit to connect if it had one.

    With that permit goes the shared one.  That of a connection is given back when its close has returned.
    """
    pool_publish_vacant(pool, slot)
    if permit:
        pool_permit_drop(pool)
        if pool.member != NULL:
            member_give(pool.member)
    pool_settle_if(pool)


cdef inline void pool_closed_one(Pool *pool) noexcept nogil:
    """A connection's close has returned: its shared permit is free."""
    if pool.member != NULL:
        member_give(pool.member)
        pool_settle_if(pool)


cdef inline void pool_pass(Pool *pool, Slot *slot) noexcept nogil:
    """Return a slot that was handed to a waiter that cannot use it, connected or not."""
    if slot_state(u64_peek(&slot.word)) == CONNECTING:
        pool_give_vacant(pool, slot, True)
    else:
        pool_give(pool, slot)


cdef inline void pool_abandon_waiters(Pool *pool) noexcept nogil:
    """Dissolve the line: all waiters leave without a slot."""
    cdef Waiter *waiter
    while True:
        waiter = queue_pop(&pool.queue, &pool.gate)
        if waiter == NULL:
            return
        if waiter.lock == NULL:
            waiter_settle(waiter, ABANDONED)
            pool.wake(waiter)
        elif waiter_settle(waiter, ABANDONED):
            waiter_ring(waiter)
        waiter_drop(waiter)
