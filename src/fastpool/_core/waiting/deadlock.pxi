# Which owners wait, and whether all leases are held by owners that wait themselves.

cdef int deadlock_collect_holders(Core core) except -1:
    """With the option `collect_garbage`, run the garbage collector before a deadlock is concluded: a holder may be the
    frame of a block in the traceback of an exception that is part of a reference cycle.  Only if a lease is older than
    a second, and at most once a minute, because a collection stops every thread."""
    cdef int64_t now = clock_ns()
    cdef uint32_t i
    if not core.collect_garbage:
        return 0
    if core.collected_ns != 0 and 0 <= now - core.collected_ns < COLLECT_NS:
        return 0
    for i in range(u32_load(&core.pool.table.size)):
        if now - i64_peek(&table_slot(&core.pool.table, i).since_ns) >= LOOK_NS:
            core.collected_ns = now
            collect_garbage()
            return 0
    return 0


cdef tuple deadlock_note_waiting(Core core, WaiterHandle handle):
    """Record a waiter: a thread that sleeps, with all its greenlets and tasks, by its uid (True); a main greenlet by
    its thread's uid (False); another greenlet, or one with a task, by its key; a task whose loop runs on by itself.
    Returns what to forget afterwards; None: the handle forgets it.
    """
    cdef tuple noted
    cdef uint64_t owner = handle.waiter.owner
    if type(handle) is TaskHandle:
        if (<TaskHandle>handle).task is not None:
            core.queued_tasks.add((<TaskHandle>handle).task)
        return None
    if type(handle) is ThreadHandle:
        core.queued[owner] = True
        return ()
    green = owner_unless_main((<GreenletHandle>handle).greenlet) if type(handle) is GreenletHandle else owner_greenlet()
    task = owner_task()
    if green is None and task is None:
        core.queued[owner] = False
        return ()
    noted = (owner, green, task, <size_t>handle.waiter)
    core.queued_green[deadlock_owner_key(green, task)] = noted
    return noted


cdef inline object deadlock_owner_key(object green, object task):
    """A key for an owner, valid as long as its greenlet and task live; each of them belongs to one thread."""
    if task is None:
        return id(green)
    return id(task) if green is None else (id(green), id(task))


cdef int deadlock_forget_waiting(Core core, tuple noted, WaiterHandle handle) except -1:
    if noted is None or core.queued_green is None:
        return 0  # nothing was noted; or the garbage collector has cleared the pool
    if noted:
        deadlock_forget_green(core, noted)
    else:
        core.queued.pop(handle.waiter.owner, None)
    return 0


cdef bint deadlock_forget_green(Core core, tuple noted) except -1:
    """Forget a greenlet or task that waited; False: it was forgotten before."""
    uid, green, task, waiter = noted
    key = deadlock_owner_key(green, task)
    if core.queued_green.get(key) is not noted:
        return False
    core.queued_green.pop(key, None)
    return True


cdef bint deadlock_waits_here(Core core, uint64_t owner, Entry entry) except -1:
    """Whether the owner of this lease waits in this pool's own line, or sleeps because its thread does."""
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
    """Leave the line and raise PoolDeadlock if every slot is leased by the block of an owner that waits here, too."""
    cdef uint64_t before
    if not deadlock_all_holders_wait(core):
        return 0
    deadlock_collect_holders(core)
    # Look again, and require that no lease ended in between: without the GIL, an owner that was seen to hold a
    # connection may have returned it before it was seen in line.
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
    """Whether every connection that there can be is leased by the block of an owner that waits in line."""
    cdef uint32_t i, leased = 0
    cdef Slot *slot
    cdef Entry entry
    cdef bint full = u32_load(&core.pool.active) >= u32_load(&core.pool.limit)
    cdef bint vacant = False
    if (not full and core.pool.seat == NULL) or u32_load(&core.pool.connecting) != 0:
        return 0
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        if slot_state(u64_load(&slot.word)) != LEASED:
            if slot_state(u64_load(&slot.word)) in (IDLE, CONNECTING, RETIRING, 0):
                return 0
            vacant |= slot_state(u64_load(&slot.word)) == VACANT
            continue
        entry = <Entry>slot.entry
        if not entry.bound or u64_peek(&slot.owner) == 0:
            return 0
        if entry.returning or u64_load(&slot.word) & ENDING:
            return 0  # perhaps by another thread than its owner's
        if not deadlock_waits_here(core, u64_peek(&slot.owner), entry):
            return 0
        leased += 1
    # A slot may be free where the permits of all processes of a shared name are out, if they are all this pool's.
    return leased != 0 and (
        core.pool.seat == NULL or (full and not vacant) or sharing_holds_all(core, leased))
