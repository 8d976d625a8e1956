# Standing in line.

@cython.no_gc_clear
cdef class WaiterHandle:
    """A waiter that is not a sleeping thread: a greenlet or a task.  `rouse()` is called once, by whoever decides.

    rouse() returns False when the one who waits can never be woken (its loop is closed): the slot is then the
    giver's again.
    """
    cdef Core core
    cdef Waiter *waiter
    cdef object rouse

    @property
    def waiting(self):
        """Nothing is decided yet."""
        return u64_load(&self.waiter.state) == WAITING

    def __dealloc__(self):
        if self.waiter != NULL:
            waiter_drop(self.waiter)


cdef bint handle_wake(Waiter *waiter) noexcept nogil:
    with gil:
        return handle_wake_with_gil(waiter)


cdef bint handle_wake_with_gil(Waiter *waiter) noexcept:
    cdef WaiterHandle handle = <WaiterHandle>waiter.object
    cdef object pending = None
    cdef list later = None
    cdef bint roused
    Py_DECREF(handle)  # the queue's reference
    if u64_load(&waiter.state) in (TIMED_OUT, CANCELLED):
        return True
    # A signal handler may raise inside rouse(), which says nothing of the loop or hub: so it is asked again, which
    # does no harm, and what the handler raised comes out of the giver a moment later.
    while True:
        try:
            roused = handle_rouse(handle)
            break
        except Exception as error:
            if type(pending) is type(error):
                roused = False  # a loop or hub that is gone; the slot goes to the next in line
                break
            pending = error
            if not isinstance(error, GONE):
                later = [*(later or ()), error]
        except BaseException as error:
            later = [*(later or ()), error]
    for error in later or ():
        handle_raise_later(error)
    return roused


cdef tuple GONE = (RuntimeError, AttributeError, ReferenceError)  # what a closed loop or a destroyed hub answers
cdef object pending_errors = []  # what signal handlers raised where nothing may be raised


cdef int handle_raise_pending(void *nothing) noexcept with gil:
    """A pending call: the main thread, where signal handlers run, between two of its instructions."""
    if not pending_errors:
        return 0
    error = pending_errors.pop(0)
    PyErr_SetObject(type(error), error)
    return -1


cdef int handle_raise_later(object error) except -1:
    pending_errors.append(error)
    if Py_AddPendingCall(handle_raise_pending, NULL) != 0:
        pending_errors.remove(error)  # the interpreter's list is full: others are about to be raised
    return 0


cdef WaiterHandle handle_new(Core core, Thread *me, object rouse):
    cdef WaiterHandle handle = WaiterHandle.__new__(WaiterHandle)
    handle.rouse = rouse
    handle_give_waiter(handle, core, me, clock_ns())
    return handle


cdef int handle_give_waiter(WaiterHandle handle, Core core, Thread *me, int64_t now) except -1:
    handle.core = core
    handle.waiter = waiter_new(False, me.uid, now)
    if handle.waiter == NULL:
        raise MemoryError("fastpool: no memory for a waiter")
    handle.waiter.object = <void *>handle
    return 0


cdef bint handle_rouse(WaiterHandle handle) except -1:
    """False, or an error: who waits can never be woken."""
    if type(handle) is TaskHandle:
        return timer_rouse_task(<TaskHandle>handle)
    if type(handle) is GreenletHandle:
        return gevent_rouse(<GreenletHandle>handle)
    return handle.rouse() is not False


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

    The waiter's own exit, whatever it is, follows the table of design.md §4: who loses the swap owns the slot.
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


cdef tuple deadlock_note_waiting(Core core, Waiter *waiter, Thread *me, GreenletHandle handle):
    """Remember who waits: a thread that sleeps, with all its greenlets and tasks, by its number (True); a greenlet or
    task whose thread goes on by itself, and a main greenlet by its thread's number (False).  What to forget afterwards.
    """
    cdef tuple noted
    if waiter.lock != NULL:
        core.queued[me.uid] = True
        return ()
    green = owner_greenlet() if handle is None else owner_unless_main(handle.greenlet)
    task = owner_task()
    if green is None and task is None:
        core.queued[me.uid] = False
        return ()
    noted = (me.uid, green, task, <size_t>waiter)
    core.queued_green[deadlock_owner_key(green, task)] = noted
    return noted


cdef inline object deadlock_owner_key(object green, object task):
    """Good as long as the owner's greenlet and task live; either is one thread's."""
    if task is None:
        return id(green)
    return id(task) if green is None else (id(green), id(task))


cdef int deadlock_forget_waiting(Core core, tuple noted, Thread *me) except -1:
    if core.queued_green is None:
        return 0  # the garbage collector has cleared the pool
    if noted:
        deadlock_forget_green(core, noted)
    else:
        core.queued.pop(me.uid, None)
    return 0


cdef bint deadlock_forget_green(Core core, tuple noted) except -1:
    """The same of a greenlet or task; False: it was forgotten before."""
    uid, green, task, waiter = noted
    key = deadlock_owner_key(green, task)
    if core.queued_green.get(key) is not noted:
        return False
    core.queued_green.pop(key, None)
    return True


cdef bint deadlock_waits_here(Core core, uint64_t owner, Entry entry) except -1:
    """Does the owner of this lease stand in this pool's own line, or sleep because its thread does?"""
    cdef object asleep = core.queued.get(owner)
    if asleep or (entry.green is None and entry.task is None):
        return asleep is not None
    green = None if entry.green is None else entry.green()
    task = None if entry.task is None else entry.task()
    if task is not None and entry.task in core.queued_tasks:
        return True
    if not core.queued_green:
        return False
    if (green is None) != (entry.green is None) or (task is None) != (entry.task is None):
        return False  # the holder is gone
    return deadlock_owner_key(green, task) in core.queued_green


cdef int deadlock_look(Core core, Waiter *waiter, int64_t began) except -1:
    """PoolDeadlock, out of line, if every slot is leased by the block of an owner that waits here itself."""
    cdef uint64_t before
    if not deadlock_all_holders_wait(core):
        return 0
    deadlock_collect_holders(core)
    # Looked at again, and nothing was given back meanwhile: without the GIL, who was seen to hold a connection may
    # have returned it before it was seen in line.
    before = deadlock_epochs(core)
    if deadlock_all_holders_wait(core) and deadlock_epochs(core) == before and line_leave(core, waiter, TIMED_OUT):
        raise checkout_exhausted(core, "wait", began, PoolDeadlock)
    return 0


cdef uint64_t deadlock_epochs(Core core) noexcept:
    """The sum of all slots' epochs. Each only grows, so a sum that is the same means that no lease began or ended."""
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(u32_load(&core.pool.table.size)):
        total += u64_load(&table_slot(&core.pool.table, i).word) // EPOCH
    return total


cdef bint deadlock_all_holders_wait(Core core) except -1:
    """Is every slot leased by the block of an owner that stands in line?"""
    cdef uint32_t i, leased = 0
    cdef Slot *slot
    cdef Entry entry
    if u32_load(&core.pool.active) < u32_load(&core.pool.limit) or u32_load(&core.pool.connecting) != 0:
        return 0
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        if slot_state(u64_load(&slot.word)) != LEASED:
            if slot_state(u64_load(&slot.word)) in (IDLE, CONNECTING, RETIRING, 0):
                return 0
            continue
        entry = <Entry>slot.entry
        if not entry.bound or u64_peek(&slot.owner) == 0:
            return 0
        if entry.returning or u64_load(&slot.word) & ENDING:
            return 0  # by another thread than its owner's, maybe
        if not deadlock_waits_here(core, u64_peek(&slot.owner), entry):
            return 0
        leased += 1
    return leased != 0


cdef object checkout_exhausted(Core core, str phase, int64_t began, kind=None):
    """The error of a checkout that got nothing in its time, counted and explained."""
    u64_add(&core.totals[TIMEOUTS], 1)
    return core._exhausted(phase, (clock_ns() - began) / 1e9, kind)
