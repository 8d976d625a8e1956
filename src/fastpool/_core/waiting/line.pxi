# Standing in line.

cdef int line_enter(Core core, Waiter *waiter, bint instant, bint front) except -1:
    """Stand in line and look at the free slots once more.  Raises PoolClosed or PoolOverloaded, out of line again."""
    cdef uint64_t before
    if waiter.lock == NULL:
        Py_INCREF(<object>waiter.object)  # the queue's
    before = queue_enlist(&core.pool.queue, &core.pool.gate, waiter, front)
    if before & CLOSED:
        line_leave(core, waiter, CANCELLED)
        raise PoolClosed(f"pool {core.name!r} is closed")
    if (
        not instant and not front and core.max_waiting >= 0
        and <int64_t>(before & QUEUED_MASK) >= core.max_waiting
        and line_leave(core, waiter, CANCELLED)
    ):
        u64_add(&core.totals[REJECTED], 1)
        raise PoolOverloaded(
            f"pool {core.name!r}: {before & QUEUED_MASK} callers wait already, and max_waiting is {core.max_waiting}")
    pool_settle(core.pool)
    return 0


cdef bint line_leave(Core core, Waiter *waiter, uint64_t outcome) noexcept:
    """Leave the line without a slot.  False: a giver decided first; what it gave is the waiter's to take or pass on."""
    cdef bint was
    if not waiter_settle(waiter, outcome):
        return False
    was = queue_leave(&core.pool.queue, &core.pool.gate, waiter)
    if was and waiter.lock == NULL:
        Py_DECREF(<object>waiter.object)
    return True


cdef object sleeper_here = None


cdef object line_find_sleeper():
    """What this greenlet sleeps on; None where it is the thread that must sleep."""
    global sleeper_here
    if sleeper_here is None:
        from .greenlets import sleeper_here as found
        sleeper_here = found
    return sleeper_here()


cdef Slot *line_wait(Core core, Thread *me, int64_t began, int64_t deadline, bint instant, bint front) except NULL:
    """Wait for a slot until the deadline: LEASED with a connection or CONNECTING, and the caller's.

    However the wait ends, the table of docs/core.md ("The line and the hand-off") holds: a waiter that loses the swap
    owns the slot.
    """
    cdef WaiterHandle handle = None
    cdef Waiter *waiter
    cdef Slot *slot
    cdef uint64_t born_in = generation()
    cdef int64_t until
    cdef GreenletHandle green = None
    cdef tuple noted = None
    sleeper = None
    if not instant and greenlet_current is not None:
        hub = gevent_hub()
        if hub is not None:
            handle = green = gevent_handle(hub, core, me, began)
        else:
            sleeper = line_find_sleeper()
            if sleeper is not None:
                handle = handle_new(core, me, sleeper.rouse)
    if handle is not None:
        waiter = handle.waiter
    else:
        waiter = waiter_new(True, me.uid, began)
        if waiter == NULL:
            raise MemoryError("fastpool: no memory for a waiter")
        # Not the main thread, whose signal handlers take as long as they like; it looks around for itself.
        waiter.may_look = not instant and not compat_is_main_thread()
    try:
        line_enter(core, waiter, instant, front)
        slot = <Slot *>waiter_take(waiter)
        if slot == NULL and reclaim_lost(core):
            slot = <Slot *>waiter_take(waiter)
        if slot == NULL and instant:
            reclaim_look(core)
            slot = <Slot *>waiter_take(waiter)
        if slot != NULL:
            return slot
        if instant:
            if not line_leave(core, waiter, TIMED_OUT):
                slot = <Slot *>waiter_take(waiter)
                if slot != NULL:
                    return slot
                raise PoolClosed(f"pool {core.name!r} is closed")
            raise checkout_exhausted(core, "wait", began)
        u64_add(&core.totals[WAITS], 1)
        noted = deadlock_note_waiting(core, waiter, me, green)
        deadlock_look(core, waiter, began)
        if core.hears & EVENT_WAIT_STARTED:
            core_tell(core, "wait_started", {})
        while True:
            until = deadline
            if not waiter.may_look or u32_load(&waiter.lookout):
                until = min(deadline, clock_ns() + LOOK_NS)
            if green is not None:
                while u64_load(&waiter.state) == WAITING:
                    gevent_sleep(green, until, until == deadline)
                    if u64_load(&waiter.state) != WAITING or clock_ns() >= until:
                        break
            elif sleeper is not None:
                while u64_load(&waiter.state) == WAITING and clock_ns() < until:
                    sleeper.sleep((until - clock_ns()) / 1e9)
            else:
                thread_sleep(core.pool, waiter, until)
            if generation() != born_in:
                break
            slot = <Slot *>waiter_take(waiter)
            if slot != NULL:
                return slot
            if u64_load(&waiter.state) == REVOKED:
                front = True  # the giver thought this hub was gone
                break
            # Not "no longer WAITING": a slot may have been handed over since the look before.
            if u64_load(&waiter.state) == ABANDONED:
                raise PoolClosed(f"pool {core.name!r} was closed while this caller waited for a connection")
            if clock_ns() < until:
                continue
            reclaim_look(core)
            if clock_ns() >= deadline and line_leave(core, waiter, TIMED_OUT):
                raise checkout_exhausted(core, "wait", began)
    except BaseException:
        if generation() != born_in:
            pass  # the line, and whatever was handed over in it, is the parent's
        elif u64_load(&waiter.state) == WAITING and line_leave(core, waiter, CANCELLED):
            u64_add(&core.totals[GAVE_UP], 1)
        else:
            slot = <Slot *>waiter_take(waiter)
            if slot != NULL:
                # Handed over at the very moment: to the next in line first, and then on with the exception.
                u64_add(&core.totals[GAVE_UP], 1)
                pool_pass(core.pool, slot)
        raise
    finally:
        if noted is not None:
            deadlock_forget_waiting(core, noted, me)
        if handle is None:
            waiter_drop(waiter)
    # Forked meanwhile (a greenlet that waited in the parent waits in the child as well): a new line in a new pool.
    fork_ensure_process(core)
    return line_wait(core, me, began, deadline, instant, front)


cdef int line_rouse_orphans(Pool *was) except -1:
    """In a forked child: greenlets of this thread wait here, too, in the parent's line.  They must ask again."""
    cdef uint64_t me = thread_self().uid
    cdef Waiter *waiter = was.queue.first
    while waiter != NULL:
        if waiter.lock == NULL and waiter.owner == me and waiter_settle(waiter, ABANDONED):
            try:
                handle_rouse(<WaiterHandle>waiter.object)
            except Exception:
                pass  # its loop or hub did not survive the fork
        waiter = waiter.behind
    return 0
