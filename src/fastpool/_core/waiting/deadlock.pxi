# Which owners wait, and whether the leases that could end their waits are held by owners that wait themselves.

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


cdef bint deadlock_waits_in(Core core, uint64_t owner, Entry entry) except -1:
    """Whether the owner of this lease, of any pool, waits in the line of `core`, or sleeps because its thread does."""
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


cdef int deadlock_look(Checkout self) except -1:
    """Leave the line and raise PoolDeadlock if no wait that this one depends on can end.

    It can end if any lease that its pool, or a pool that a holder waits for, has given out is not that of a block whose
    owner waits, too.  So the pools are followed from holder to holder, and one exception is enough.
    """
    cdef uint64_t before
    cdef list steps = deadlock_steps(self.core)
    if steps is None:
        return 0
    deadlock_collect_holders(self.core)
    # Look again, and require that no lease and no wait ended in between: without the GIL, an owner that was seen to
    # hold a connection may have returned it before it was seen in line.
    before = deadlock_epochs(steps)
    steps = deadlock_steps(self.core)
    if steps is not None and deadlock_epochs(steps) == before and line_leave(self.core, self.handle.waiter, TIMED_OUT):
        line_over(self)
        raise checkout_exhausted(self.core, "wait", self.began, steps)
    return 0


cdef uint64_t deadlock_epochs(list steps) except? 0:
    """The sum of all slots' epochs, and of the waits that ended.  Each only grows, so a sum that is the same means that
    no lease began or ended, and no owner left a line."""
    cdef uint64_t total = 0
    cdef uint32_t i
    cdef Core core
    for core, _, _, _ in steps:
        total += u64_load(&core.waits_over)
        for i in range(u32_load(&core.pool.table.size)):
            total += u64_load(&table_slot(&core.pool.table, i).word) // EPOCH
    return total


cdef enum:
    NOT_KEPT = 0, KEPT_BY_LEASES = 1, KEPT_BY_PERMITS = 2


cdef list deadlock_steps(Core core):
    """The leases that keep `core`, and the pools for which its holders wait, from ever giving a connection; None: one
    of these pools still can.

    Rows (pool, index of a slot of it, pool for which that slot's owner waits, whether that is the caller).
    """
    cdef list pools = [core]
    cdef list steps = []
    cdef object others = None
    cdef uint32_t i
    cdef int kept
    cdef Slot *slot
    cdef Core one
    for one in pools:  # it grows
        kept = deadlock_kept(one)
        if kept == NOT_KEPT or (kept == KEPT_BY_PERMITS and not deadlock_add_fellows(one, pools)):
            return None
        for i in range(u32_load(&one.pool.table.size)):
            slot = table_slot(&one.pool.table, i)
            if slot_state(u64_load(&slot.word)) != LEASED:
                continue
            awaited = deadlock_awaited(pools, slot)
            if awaited is None:
                if others is None:
                    others = deadlock_lines()
                awaited = deadlock_awaited(others, slot)
                if awaited is None:
                    return None
                if not any([awaited is known for known in pools]):
                    pools.append(awaited)
            steps.append((one, i, awaited, deadlock_is_caller(slot)))
    return steps


cdef int deadlock_kept(Core core) except -1:
    """Whether every slot that the pool may have is leased by a block; KEPT_BY_PERMITS: of a pool with a shared name,
    every slot that has a connection."""
    cdef uint32_t i, leased = 0
    cdef Slot *slot
    cdef Entry entry
    cdef bint room = u32_load(&core.pool.active) < u32_load(&core.pool.limit)
    if (room and core.pool.member == NULL) or u32_load(&core.pool.connecting) != 0:
        return NOT_KEPT
    if core.pool.generation != generation() or u64_load(&core.pool.gate) & CLOSED:
        return NOT_KEPT
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        if slot_state(u64_load(&slot.word)) == GONE:
            continue
        if slot_state(u64_load(&slot.word)) == VACANT and core.pool.member != NULL:
            room = True
            continue
        if slot_state(u64_load(&slot.word)) != LEASED or u64_peek(&slot.owner) == 0:
            return NOT_KEPT
        entry = <Entry>slot.entry  # only now: a slot in which nothing was opened yet has none
        if not entry.bound:
            return NOT_KEPT
        if entry.returning or u64_load(&slot.word) & ENDING:
            return NOT_KEPT  # perhaps by another thread than its owner's
        leased += 1
    if room:
        return KEPT_BY_PERMITS
    return KEPT_BY_LEASES if leased != 0 else NOT_KEPT


cdef bint deadlock_add_fellows(Core core, list pools) except -1:
    """Add this process's pools of the same shared name to `pools`; whether their leases have all its permits."""
    cdef list fellows = [
        one for one in pools_here.everyone() if one.share is not None and one.share.has_page_of(core.share)]
    cdef uint32_t i, leased = 0
    cdef Core fellow
    for fellow in fellows:
        if fellow.has_alternatives and fellow is not core:
            return False
        for i in range(u32_load(&fellow.pool.table.size)):
            leased += slot_state(u64_load(&table_slot(&fellow.pool.table, i).word)) == LEASED
        if not any([fellow is known for known in pools]):
            pools.append(fellow)
    return sharing_are_all(core, leased)


cdef Core deadlock_awaited(list pools, Slot *slot):
    """The pool among these for which the owner of this lease waits; None: for none of them."""
    cdef Core core
    for core in pools:
        if deadlock_waits_in(core, u64_peek(&slot.owner), <Entry>slot.entry):
            return core
    return None


cdef list deadlock_lines():
    """The pools of this process that have waiters, except those whose waiters turn to another pool after a moment."""
    return [
        core
        for core in pools_here.everyone()
        if u64_load(&(<Core>core).pool.gate) & QUEUED_MASK and not (<Core>core).has_alternatives
    ]


cdef bint deadlock_is_caller(Slot *slot) except -1:
    """Whether the lease is that of the owner that runs now."""
    cdef Entry entry = <Entry>slot.entry
    return (
        u64_peek(&slot.owner) == thread_self().uid
        and lease_same_owner(entry.green, owner_greenlet())
        and lease_same_owner(entry.task, owner_task())
    )
