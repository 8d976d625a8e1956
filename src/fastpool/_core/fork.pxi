# After a fork: the child starts afresh, and leaves alone what the parent still uses.

cdef int fork_abandon(Core core, object c) except -1:
    """A connection that belongs to the parent process: never used, shut down or destroyed here."""
    core.inherited.append(c)
    try:
        core.driver.abandon(c)
    except Exception as error:
        core._log_driver_error("abandon", error)
    if core.pool.member != NULL:
        core._drop_descriptor(c)
    return 0


cdef int fork_ensure_process(Core core) except -1:
    """Start afresh if the process has forked since the pool was last used.  Called before anything else is read."""
    return fork_after(core) if core.pool.generation != generation() else 0


cdef int fork_after(Core core) except -1:
    """Give the child a fresh PoolInner, without waiters and leases.  Connections inherited over fork() stay referenced
    for ever: closing one would shut down the parent's socket."""
    cdef PoolInner old = core.inner
    cdef PoolInner fresh
    cdef Entry entry
    cdef Pool *was = &old.pool
    cdef uint32_t i
    if was.generation == generation():
        return 0
    fresh = PoolInner()
    fresh.pool.max_size, fresh.pool.limit, fresh.pool.max_connecting = was.max_size, was.limit, was.max_connecting
    fresh.pool.idle.oldest_first = was.idle.oldest_first
    fresh.pool.gate = was.gate & (CLOSED | SLOW_TAKE | SLOW_GIVE)
    if was.member != NULL:
        fresh.pool.member = &SHARED_NOWHERE  # no permit is to be had until `_forked` has joined
        core.member = None
    inherited = core.entries
    Py_INCREF(old)
    Py_INCREF(inherited)
    core_move_in(core, fresh)
    core.entries, core.by_id, core.queued, core.queued_green = [], {}, {}, {}
    core.queued_tasks, core.lost = set(), []
    core.inherited.append(inherited)
    line_wake_orphans(was)
    try:
        core._forked()
    finally:  # it may raise: the page of a shared name may be out of reach
        fork_leave_alone(core, inherited)
    return 0


cdef int fork_leave_alone(Core core, list inherited) except -1:
    """Abandon the parent's connections, of which this process owns nothing."""
    cdef Entry entry
    for entry in inherited:
        # A lease that was open in the forking thread ends in the child too, and is abandoned there.
        if entry.connection is None:
            continue
        if slot_state(u64_load(&entry.slot.word)) != LEASED:
            fork_abandon(core, entry.connection)
        elif core.pool.member != NULL and not (entry.bound and u64_peek(&entry.slot.owner) == thread_self().uid):
            core._drop_descriptor(entry.connection)  # no block of this process ends its lease
    return 0


cdef bint fork_is_inherited(Core core, object c) except -1:
    """Whether the connection was open in the parent process when it forked."""
    for inherited in core.inherited:
        if isinstance(inherited, list):
            for one in <list>inherited:
                if (<Entry>one).connection is c:
                    return True
    return False
