# Standing in line.

@cython.no_gc_clear
cdef class Ticket:
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


cdef bint wake_ticket(Waiter *waiter) noexcept nogil:
    with gil:
        return wake_ticket_here(waiter)


cdef bint wake_ticket_here(Waiter *waiter) noexcept:
    cdef Ticket ticket = <Ticket>waiter.object
    cdef object struck = None
    cdef list later = None
    cdef bint roused
    Py_DECREF(ticket)  # the queue's reference
    if u64_load(&waiter.state) in (TIMED_OUT, CANCELLED):
        return True
    # A signal handler may raise inside rouse(), which says nothing of the loop or hub: so it is asked again, which
    # does no harm, and what the handler raised comes out of the giver a moment later.
    while True:
        try:
            roused = rouse(ticket)
            break
        except Exception as error:
            if type(struck) is type(error):
                roused = False  # a loop or hub that is gone; the slot goes to the next in line
                break
            struck = error
            if not isinstance(error, GONE):
                later = [*(later or ()), error]
        except BaseException as error:
            later = [*(later or ()), error]
    for error in later or ():
        raise_later(error)
    return roused


cdef tuple GONE = (RuntimeError, AttributeError, ReferenceError)  # what a closed loop or a destroyed hub answers
cdef object struck_by = []  # what signal handlers raised where nothing may be raised


cdef int raise_struck(void *nothing) noexcept with gil:
    """A pending call: the main thread, where signal handlers run, between two of its instructions."""
    if not struck_by:
        return 0
    error = struck_by.pop(0)
    PyErr_SetObject(type(error), error)
    return -1


cdef int raise_later(object error) except -1:
    struck_by.append(error)
    if Py_AddPendingCall(raise_struck, NULL) != 0:
        struck_by.remove(error)  # the interpreter's list is full: others are about to be raised
    return 0


cdef Ticket ticket_new(Core core, Thread *me, object rouse):
    cdef Ticket ticket = Ticket.__new__(Ticket)
    ticket.rouse = rouse
    give_waiter(ticket, core, me, clock_ns())
    return ticket


cdef int give_waiter(Ticket ticket, Core core, Thread *me, int64_t now) except -1:
    ticket.core = core
    ticket.waiter = waiter_new(False, me.uid, now)
    if ticket.waiter == NULL:
        raise MemoryError("fastpool: no memory for a waiter")
    ticket.waiter.object = <void *>ticket
    return 0


cdef bint rouse(Ticket ticket) except -1:
    """False, or an error: who waits can never be woken."""
    if type(ticket) is TaskTicket:
        return rouse_task(<TaskTicket>ticket)
    if type(ticket) is GreenTicket:
        return rouse_green(<GreenTicket>ticket)
    return ticket.rouse() is not False


cdef int line_up(Core core, Waiter *waiter, bint instant, bint front) except -1:
    """Stand in line and look at the free slots once more.  Raises PoolClosed or PoolOverloaded, out of line again."""
    cdef uint64_t before
    if waiter.lock == NULL:
        Py_INCREF(<object>waiter.object)  # the queue's
    before = queue_enlist(&core.pool.queue, &core.pool.gate, waiter, front)
    if before & CLOSED:
        step_out(core, waiter, CANCELLED)
        raise PoolClosed(f"pool {core.name!r} is closed")
    if (
        not instant and not front and core.max_waiting >= 0
        and <int64_t>(before & QUEUED_MASK) >= core.max_waiting
        and step_out(core, waiter, CANCELLED)
    ):
        u64_add(&core.totals[REJECTED], 1)
        raise PoolOverloaded(
            f"pool {core.name!r}: {before & QUEUED_MASK} callers wait already, and max_waiting is {core.max_waiting}")
    pool_settle(core.pool)
    return 0


cdef bint step_out(Core core, Waiter *waiter, uint64_t outcome) noexcept:
    """Leave the line without a slot.  False: a giver decided first; what it gave is the waiter's to take or pass on."""
    cdef bint was
    if not waiter_settle(waiter, outcome):
        return False
    was = queue_leave(&core.pool.queue, &core.pool.gate, waiter)
    if was and waiter.lock == NULL:
        Py_DECREF(<object>waiter.object)
    return True


cdef object sleeper_here = None


cdef object find_sleeper():
    """What this greenlet sleeps on; None where it is the thread that must sleep."""
    global sleeper_here
    if sleeper_here is None:
        from ._waiting import sleeper_here as found
        sleeper_here = found
    return sleeper_here()


cdef Slot *wait_in_line(Core core, Thread *me, int64_t began, int64_t deadline, bint instant, bint front) except NULL:
    """Wait for a slot until the deadline: LEASED with a connection or CONNECTING, and the caller's.

    The waiter's own exit, whatever it is, follows the table of design.md §4: who loses the swap owns the slot.
    """
    cdef Ticket ticket = None
    cdef Waiter *waiter
    cdef Slot *slot
    cdef uint64_t born_in = generation()
    cdef int64_t until
    cdef GreenTicket green = None
    cdef tuple noted = None
    sleeper = None
    if not instant and greenlet_current is not None:
        hub = gevent_hub()
        if hub is not None:
            ticket = green = green_ticket(hub, core, me, began)
        else:
            sleeper = find_sleeper()
            if sleeper is not None:
                ticket = ticket_new(core, me, sleeper.rouse)
    if ticket is not None:
        waiter = ticket.waiter
    else:
        waiter = waiter_new(True, me.uid, began)
        if waiter == NULL:
            raise MemoryError("fastpool: no memory for a waiter")
        # Not the main thread, whose signal handlers take as long as they like; it looks around for itself.
        waiter.may_look = not instant and not is_main_thread()
    try:
        line_up(core, waiter, instant, front)
        slot = <Slot *>waiter_take(waiter)
        if slot == NULL and reclaim(core):
            slot = <Slot *>waiter_take(waiter)
        if slot == NULL and instant:
            look_for_the_lost(core)
            slot = <Slot *>waiter_take(waiter)
        if slot != NULL:
            return slot
        if instant:
            if not step_out(core, waiter, TIMED_OUT):
                slot = <Slot *>waiter_take(waiter)
                if slot != NULL:
                    return slot
                raise PoolClosed(f"pool {core.name!r} is closed")
            raise exhausted(core, "wait", began)
        u64_add(&core.totals[WAITS], 1)
        noted = note_waiting(core, waiter, me, green)
        look_for_deadlock(core, waiter, began)
        if core.hears & HEAR_WAIT_STARTED:
            tell(core, "wait_started", {})
        while True:
            until = deadline
            if not waiter.may_look or u32_load(&waiter.lookout):
                until = min(deadline, clock_ns() + LOOK_NS)
            if green is not None:
                while u64_load(&waiter.state) == WAITING:
                    green_sleep(green, until, until == deadline)
                    if u64_load(&waiter.state) != WAITING or clock_ns() >= until:
                        break
            elif sleeper is not None:
                while u64_load(&waiter.state) == WAITING and clock_ns() < until:
                    sleeper.sleep((until - clock_ns()) / 1e9)
            else:
                sleep_thread(core.pool, waiter, until)
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
            look_for_the_lost(core)
            if clock_ns() >= deadline and step_out(core, waiter, TIMED_OUT):
                raise exhausted(core, "wait", began)
    except BaseException:
        if generation() != born_in:
            pass  # the line, and whatever was handed over in it, is the parent's
        elif u64_load(&waiter.state) == WAITING and step_out(core, waiter, CANCELLED):
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
            forget_waiting(core, noted, me)
        if ticket is None:
            waiter_drop(waiter)
    # Forked meanwhile (a greenlet that waited in the parent waits in the child as well): a new line in a new pool.
    here(core)
    return wait_in_line(core, me, began, deadline, instant, front)


cdef int rouse_orphans(Pool *was) except -1:
    """In a forked child: greenlets of this thread wait here, too, in the parent's line.  They must ask again."""
    cdef uint64_t me = thread_self().uid
    cdef Waiter *waiter = was.queue.first
    while waiter != NULL:
        if waiter.lock == NULL and waiter.owner == me and waiter_settle(waiter, ABANDONED):
            try:
                rouse(<Ticket>waiter.object)
            except Exception:
                pass  # its loop or hub did not survive the fork
        waiter = waiter.behind
    return 0


cdef tuple note_waiting(Core core, Waiter *waiter, Thread *me, GreenTicket ticket):
    """Remember who waits: a thread that sleeps, with all its greenlets and tasks, by its number (True); a greenlet or
    task whose thread goes on by itself, and a main greenlet by its thread's number (False).  What to forget afterwards.
    """
    cdef tuple noted
    if waiter.lock != NULL:
        core.queued[me.uid] = True
        return ()
    green = green_here() if ticket is None else unless_main(ticket.greenlet)
    task = task_here()
    if green is None and task is None:
        core.queued[me.uid] = False
        return ()
    noted = (me.uid, green, task, <size_t>waiter)
    core.queued_green[owner_key(green, task)] = noted
    return noted


cdef inline object owner_key(object green, object task):
    """Good as long as the owner's greenlet and task live; either is one thread's."""
    if task is None:
        return id(green)
    return id(task) if green is None else (id(green), id(task))


cdef int forget_waiting(Core core, tuple noted, Thread *me) except -1:
    if core.queued_green is None:
        return 0  # the garbage collector has cleared the pool
    if noted:
        forget_green(core, noted)
    else:
        core.queued.pop(me.uid, None)
    return 0


cdef bint forget_green(Core core, tuple noted) except -1:
    """The same of a greenlet or task; False: it was forgotten before."""
    uid, green, task, waiter = noted
    key = owner_key(green, task)
    if core.queued_green.get(key) is not noted:
        return False
    core.queued_green.pop(key, None)
    return True


cdef bint waits_here(Core core, uint64_t owner, Seat seat) except -1:
    """Does the owner of this lease stand in this pool's own line, or sleep because its thread does?"""
    cdef object asleep = core.queued.get(owner)
    if asleep or (seat.green is None and seat.task is None):
        return asleep is not None
    green = None if seat.green is None else seat.green()
    task = None if seat.task is None else seat.task()
    if task is not None and seat.task in core.queued_tasks:
        return True
    if not core.queued_green:
        return False
    if (green is None) != (seat.green is None) or (task is None) != (seat.task is None):
        return False  # the holder is gone
    return owner_key(green, task) in core.queued_green


cdef int look_for_deadlock(Core core, Waiter *waiter, int64_t began) except -1:
    """PoolDeadlock, out of line, if every slot is leased by the block of an owner that waits here itself."""
    cdef uint64_t before
    if not all_holders_wait(core):
        return 0
    collect_holders(core)
    # Looked at again, and nothing was given back meanwhile: without the GIL, who was seen to hold a connection may
    # have returned it before it was seen in line.
    before = epochs(core)
    if all_holders_wait(core) and epochs(core) == before and step_out(core, waiter, TIMED_OUT):
        raise exhausted(core, "wait", began, PoolDeadlock)
    return 0


cdef uint64_t epochs(Core core) noexcept:
    """The sum of all slots' epochs. Each only grows, so a sum that is the same means that no lease began or ended."""
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(u32_load(&core.pool.table.size)):
        total += u64_load(&table_slot(&core.pool.table, i).word) // EPOCH
    return total


cdef bint all_holders_wait(Core core) except -1:
    """Is every slot leased by the block of an owner that stands in line?"""
    cdef uint32_t i, leased = 0
    cdef Slot *slot
    cdef Seat seat
    if u32_load(&core.pool.active) < u32_load(&core.pool.limit) or u32_load(&core.pool.connecting) != 0:
        return 0
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        if slot_state(u64_load(&slot.word)) != LEASED:
            if slot_state(u64_load(&slot.word)) in (IDLE, CONNECTING, RETIRING, 0):
                return 0
            continue
        seat = <Seat>slot.seat
        if not seat.bound or u64_peek(&slot.owner) == 0:
            return 0
        if seat.returning or u64_load(&slot.word) & ENDING:
            return 0  # by another thread than its owner's, maybe
        if not waits_here(core, u64_peek(&slot.owner), seat):
            return 0
        leased += 1
    return leased != 0


cdef object exhausted(Core core, str phase, int64_t began, kind=None):
    """The error of a checkout that got nothing in its time, counted and explained."""
    u64_add(&core.totals[TIMEOUTS], 1)
    return core._exhausted(phase, (clock_ns() - began) / 1e9, kind)
