# The C interface: checkout and checkin for code that has no GIL, and may run in threads that Python knows nothing of.
#
# The simple cases run without the GIL: taking a fresh idle connection, the wait in line, and returning a connection in
# good order.  All else (connecting, checking, a closed or forked pool, limits, listeners) is done by the code that all
# callers use, with the GIL, which these functions acquire themselves.
#
# A native lease belongs to no thread: its owner is marked NATIVE, so no block of that thread shares it, no deadlock is
# concluded while it is out, and any thread may return it.  It counts as bound: only its holder, or a close(timeout),
# ends it.

cdef NativePool *native_open(object pool) except NULL:
    """The handle of a Pool (or ConnectionPool) for the other functions; keeps the pool alive until `native_close`."""
    cdef Core core
    if not isinstance(pool, BlockingCore):
        raise TypeError(f"native code can use a fastpool.Pool or ConnectionPool, not {type(pool).__name__!r}")
    core = pool
    core.native.core = <void *>core
    core.native_opens += 1
    Py_INCREF(core)
    return &core.native


cdef int native_close(NativePool *native) except -1:
    """Call once for each native_open.  LeaseError: leases are out, or it was already closed as often as opened."""
    cdef Core core
    cdef uint32_t i, out = 0
    if native == NULL or native.core == NULL:
        raise LeaseError("this native pool is not open: call native_close once for each native_open")
    core = <Core>native.core
    if core.native_opens == 1:
        for i in range(u32_load(&core.pool.table.size)):
            out += native_is_slot(table_slot(&core.pool.table, i))
        if out and core.pool.generation == generation():
            raise LeaseError(
                f"pool {core.name!r}: native code still holds {out} of its connections; check them in first")
        native.core = NULL
    core.native_opens -= 1
    Py_DECREF(core)
    return 0


cdef bint native_is_slot(Slot *slot) noexcept nogil:
    return slot_state(u64_load(&slot.word)) == LEASED and (u64_peek(&slot.owner) & NATIVE) != 0


cdef object native_connection(NativePool *native, const NativeLease *lease):
    """The connection of a lease.  PoolClosed: close(timeout) took it.  LeaseError: the lease holds none."""
    cdef Core core
    if native == NULL or native.core == NULL or lease == NULL or lease.word == 0:
        raise LeaseError("this native lease holds no connection")
    core = <Core>native.core
    if lease.generation != generation():
        raise LeaseError(
            f"pool {core.name!r}: this connection was checked out before a fork and belongs to the parent")
    if lease.pool != core.pool.id:
        raise LeaseError(f"this native lease does not belong to pool {core.name!r}")
    c = (<Entry>(<Slot *>lease.slot).entry).connection
    if slot_lease(u64_load(&(<Slot *>lease.slot).word)) != lease.word:
        if u64_load(&core.pool.gate) & CLOSED:
            raise core.driver.closed_error(f"pool {core.name!r} was closed, and took this connection back")
        raise LeaseError(f"this native lease of pool {core.name!r} was already returned")
    return c


# ---- checkout ------------------------------------------------------------------------------------------------------

cdef int native_checkout(NativePool *native, double timeout, NativeLease *lease, char *why, size_t room) noexcept nogil:
    """Fill `lease`.  timeout: in seconds; 0: only what is free now; negative: no limit.  `why` (or NULL): a buffer of
    `room` bytes for the error message, empty on success."""
    if why != NULL and room:
        why[0] = 0
    if native == NULL or native.core == NULL:
        return native_say(NATIVE_MISUSE, "the native pool is not open", why, room)
    if lease == NULL or lease.word != 0:
        return native_say(NATIVE_MISUSE, "the lease holds a connection, or was never zeroed", why, room)
    if timeout != timeout:
        return native_say(NATIVE_MISUSE, "the timeout is not a number", why, room)
    return native_take(<Core>native.core, timeout, lease, why, room)


cdef int native_say(int outcome, const char *sentence, char *why, size_t room) noexcept nogil:
    if why != NULL and room:
        snprintf(why, room, "%s", sentence)
    return outcome


cdef int native_take(Core core, double timeout, NativeLease *lease, char *why, size_t room) noexcept nogil:
    cdef Pool *pool = core.pool
    cdef Thread *me = thread_self()
    cdef int64_t limit = -1 if timeout < 0 or timeout >= 9e9 else <int64_t>(timeout * 1e9)
    cdef int64_t now, began, left, deadline = INT64_MAX
    cdef uint64_t gate = u64_load_sc(&pool.gate)
    cdef ThreadHint *hint
    cdef Slot *slot = NULL
    cdef int said = SLEPT_WELL
    if gate & (CLOSED | SLOW_TAKE) or core.tracks_calls or pool.generation != generation():
        return native_take_slowly(core, limit, NULL, lease, why, room)
    hint = hint_make(me, pool.id, &pool.table)
    if not gate & QUEUED_MASK:
        slot = lease_take_idle(core, hint)
        if slot != NULL:
            now = clock_near_ns(me)
            if lease_is_fresh(slot, now):
                native_begin(core, slot, me, hint, now, lease)
                return NATIVE_OK
        else:
            slot = pool_take_vacant(pool)
    if slot == NULL:
        if core.hears or core.max_waiting >= 0 or i64_peek(&core.by_hand) or i64_peek(&clock_stopped):
            return native_take_slowly(core, limit, NULL, lease, why, room)
        began = clock_ns()
        if limit >= 0:
            deadline = began + limit
        slot = native_wait(core, me, deadline, &said)
        now = clock_ns()
        if slot == NULL:
            return native_empty(core, said, now - began, why, room)
        histogram_add(&core.inner.wait, now - began)
        if slot_state(u64_load(&slot.word)) == LEASED and lease_is_fresh(slot, now):
            slot_move(slot, LEASED)  # a new epoch, for the previous holder may still have the old word
            native_begin(core, slot, me, hint, now, lease)
            return NATIVE_OK
        if limit > 0:
            left = deadline - now
            limit = left if left > 0 else 1
    if core.hears and slot_state(u64_load(&slot.word)) == CONNECTING:
        pool_pass(pool, slot)  # a listener that raises in checkout_slow would lose it
        slot = NULL
    return native_take_slowly(core, limit, slot, lease, why, room)


cdef inline void native_begin(Core core, Slot *slot, Thread *me, ThreadHint *hint, int64_t now,
                              NativeLease *lease) noexcept nogil:
    native_note(core, slot, slot_lease(u64_peek(&slot.word)), lease)
    (<Entry>slot.entry).bound = True
    slot.uses += 1
    lease_lend(slot, me, hint, now)


cdef inline void native_note(Core core, Slot *slot, uint64_t word, NativeLease *lease) noexcept nogil:
    lease.word = word
    lease.pool = core.pool.id
    lease.generation = core.pool.generation
    lease.slot = slot


cdef Slot *native_wait(Core core, Thread *me, int64_t deadline, int *said) noexcept nogil:
    """Wait in the pool's line.  If the caller has the GIL, it is released meanwhile: holders need it to return."""
    cdef PyThreadState *held = NULL
    cdef Slot *slot
    cdef thread_lock turnstile
    if holds_gil():
        thread_leave_gil()
        held = PyEval_SaveThread()
    slot = sleep_in_line(core.pool, me.uid, deadline, False, &core.totals[WAITS], native_look, <void *>core, said)
    if held != NULL:
        turnstile = thread_go_through(slot != NULL)
        PyEval_RestoreThread(held)
        thread_came_back(turnstile)
    return slot


cdef void native_look(void *core) noexcept nogil:
    """Look for leases and places in line whose owner has ended: this thread may be waiting for them."""
    cdef int64_t ago = clock_ns() - i64_peek(&(<Core>core).looked_ns)
    if not 0 <= ago < APART_NS:  # else another thread has just looked; thousands may get here at the same moment
        native_look_now(core)


cdef void native_look_now(void *core) noexcept with gil:
    try:
        reclaim_look(<Core>core)
    except BaseException as error:
        handle_raise_later(error)


cdef int native_empty(Core core, int said, int64_t waited, char *why, size_t room) noexcept nogil:
    """The outcome of a wait that gave no slot."""
    if said == POOL_CLOSED:
        return native_say(NATIVE_CLOSED, "the pool is closed", why, room)
    if said == OUT_OF_MEMORY:
        return native_say(NATIVE_NO_MEMORY, "no memory for a waiter", why, room)
    u64_add(&core.totals[TIMEOUTS], 1)
    if why != NULL and room:
        snprintf(why, room, "no connection came free within %.3f s: all %lld are in use", waited / 1e9,
                 <long long>i64_peek(&core.pool.opened))
    return NATIVE_TIMED_OUT


cdef int native_take_slowly(Core core, int64_t limit, Slot *slot, NativeLease *lease, char *why,
                            size_t room) noexcept with gil:
    """Check out by the common path; `slot`: one in hand already, whose connection must be opened or checked first."""
    cdef uint64_t word
    try:
        slot = checkout_slow(core, limit, NATIVELY, slot, &word)
    except BaseException as error:
        return native_refused(error, why, room)
    (<Entry>slot.entry).green = (<Entry>slot.entry).task = None
    native_note(core, slot, word, lease)
    return NATIVE_OK


cdef int native_refused(object error, char *why, size_t room) noexcept:
    cdef int outcome = NATIVE_FAILED
    if isinstance(error, PoolClosed):
        outcome = NATIVE_CLOSED
    elif isinstance(error, PoolOverloaded):
        outcome = NATIVE_OVERLOADED
    elif isinstance(error, NoConnectionsAvailable):
        outcome = NATIVE_TIMED_OUT
    elif isinstance(error, MemoryError):
        outcome = NATIVE_NO_MEMORY
    if why != NULL and room:
        try:
            text = f"{type(error).__name__}: {error}"
        except Exception:
            text = type(error).__name__
        # whole characters only
        told = text.encode("utf-8", "replace")[:room - 1].decode("utf-8", "ignore").encode()
        snprintf(why, room, "%s", <const char *>told)
    if not isinstance(error, Exception):
        handle_raise_later(error)  # a KeyboardInterrupt belongs to the main thread, not to this caller
    return outcome


# ---- checkin -------------------------------------------------------------------------------------------------------

cdef int native_checkin(NativePool *native, NativeLease *lease, bint discard) noexcept nogil:
    """Return the connection of `lease`, in any thread; the lease is zeroed.  discard: close the connection."""
    if native == NULL or native.core == NULL or lease == NULL or lease.word == 0:
        return NATIVE_MISUSE
    return native_give(<Core>native.core, lease, discard)


cdef int native_give(Core core, NativeLease *lease, bint discard) noexcept nogil:
    cdef Pool *pool = core.pool
    cdef Slot *slot = <Slot *>lease.slot
    cdef Thread *me
    cdef uint64_t word = lease.word
    cdef uint64_t gate
    if lease.generation != generation():
        lease.word = 0
        native_abandon(core, slot)
        return NATIVE_OK
    if lease.pool != pool.id:
        return NATIVE_MISUSE
    lease.word = 0
    if not lease_try_end(slot, word):
        # close(timeout) may have taken it; otherwise it was returned through a copy of the lease
        return NATIVE_OK if u64_load(&pool.gate) & CLOSED else NATIVE_MISUSE
    gate = u64_load(&pool.gate)
    if (
        discard or core.tracks_calls or core.has_reset  # with a driver that ends blocks the gate does not say that
        or gate & (CLOSED | SLOW_GIVE | OVER_SIZE | WANTED) or u32_load(&slot.mark) != 0
        or slot.uses >= core.max_uses
    ):
        native_give_slowly(core, slot, discard)
        return NATIVE_OK
    me = thread_self()
    lease_stamp(core, slot, me)
    lease_shut(slot, me, hint_find(me, pool.id))
    if gate & QUEUED_MASK:
        pool_give(pool, slot)
    else:
        idle_put(&pool.idle, &pool.table, slot)
    if u32_load(&slot.mark) & STALE:
        i64_put(&slot.fresh_ns, 0)  # a clear() came in between: the next checkout must look
    # The slot is free now: look at the gate again, for a caller that has begun to wait, or closed or shrunk the pool.
    gate = u64_load_sc(&pool.gate)
    if gate & QUEUED_MASK:
        pool_settle(pool)
    if gate & (CLOSED | OVER_SIZE | WANTED):
        native_look_again(core)
    return NATIVE_OK


cdef void native_give_slowly(Core core, Slot *slot, bint discard) noexcept with gil:
    """Check in by the common path."""
    try:
        checkin_lease(core, slot, None, discard)
    except BaseException as error:
        handle_raise_later(error)  # raised by the driver, and not an Exception; the slot is free all the same


cdef void native_look_again(Core core) noexcept with gil:
    try:
        checkin_after_give(core)
    except BaseException as error:
        handle_raise_later(error)


cdef void native_abandon(Core core, Slot *slot) noexcept with gil:
    """Check in, in the child, a connection checked out before the fork: the parent still uses it."""
    try:
        fork_ensure_process(core)
        fork_abandon(core, (<Entry>slot.entry).connection)
    except BaseException as error:
        handle_raise_later(error)
