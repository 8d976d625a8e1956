# One pool of connections that cost nothing, and borrow + return as the compiled core does them, without Python.

from libc.stdint cimport INT64_MAX, int64_t

from fastpool._core.c.atomic cimport Thread, ThreadHint, i64_peek, i64_put, thread_self, u64_load, u64_load_sc, u64_peek
from fastpool._core.c.clock cimport clock_begin, clock_near_ns, clock_ns
from fastpool._core.c.idle cimport idle_put, idle_take
from fastpool._core.c.lease cimport lease_open, lease_retake, lease_shut, hint_find, hint_make
from fastpool._core.c.pool cimport Pool, pool_give, pool_permit_back, pool_settle, pool_settle_if, pool_take_free
from fastpool._core.c.slot cimport CONNECTING, LEASED, Slot, slot_move, slot_state
from fastpool._core.c.waitq cimport QUEUED_MASK, WAITING, Waiter, lock_take_timed, queue_enlist, queue_open, waiter_drop, \
    waiter_new, waiter_take

cdef enum:
    CONNECTIONS = 8

cdef Pool pool


cdef bint open_pool() noexcept nogil:
    clock_begin()
    pool.id = pool.generation = 1
    pool.max_size = pool.limit = pool.max_connecting = CONNECTIONS
    return queue_open(&pool.queue) == 0


cdef Slot *borrow(Thread *me) noexcept nogil:
    cdef ThreadHint *hint = hint_find(me, pool.id)
    cdef Slot *slot = NULL
    cdef Waiter *waiter
    cdef int64_t now
    if u64_peek(&pool.gate) == 0 and hint != NULL:
        slot = <Slot *>hint.slot
        if not lease_retake(hint):
            slot = idle_take(&pool.idle, &pool.table)
        if slot != NULL:
            now = clock_near_ns(me)
            if now < i64_peek(&slot.fresh_ns):
                lease_open(slot, me, hint, now)
                return slot
    if slot == NULL and not u64_load_sc(&pool.gate) & QUEUED_MASK:
        slot = pool_take_free(&pool)
    if slot == NULL:
        waiter = waiter_new(True, me.uid, clock_ns())
        queue_enlist(&pool.queue, &pool.gate, waiter, False)
        pool_settle(&pool)
        while u64_load(&waiter.state) == WAITING:
            lock_take_timed(waiter.lock, -1, 0)
        slot = <Slot *>waiter_take(waiter)
        waiter_drop(waiter)
    if slot_state(u64_load(&slot.word)) == CONNECTING:
        i64_put(&slot.fresh_ns, INT64_MAX)
        slot_move(slot, LEASED)
        pool_permit_back(&pool)
    lease_open(slot, me, hint_make(me, pool.id, &pool.table), clock_near_ns(me))
    return slot


cdef void give_back(Thread *me, Slot *slot) noexcept nogil:
    lease_shut(slot, me, hint_find(me, pool.id))
    if u64_peek(&pool.gate) == 0:
        idle_put(&pool.idle, &pool.table, slot)
        pool_settle_if(&pool)
    else:
        pool_give(&pool, slot)
