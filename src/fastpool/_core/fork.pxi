# After a fork: the child begins anew, and leaves alone what the parent still uses.

cdef int fork_abandon(Core core, object c) except -1:
    """A connection that belongs to the parent process: never used, shut down or destroyed here."""
    core.inherited.append(c)
    try:
        core.driver.abandon(c)
    except Exception as error:
        core._log_driver_error("abandon", error)
    return 0


cdef int fork_ensure_process(Core core) except -1:
    """Before anything is looked at: is this still the process in which the pool was used last?"""
    return fork_after(core) if core.pool.generation != generation() else 0


cdef int fork_after(Core core) except -1:
    """The child begins anew: a fresh house, no waiters, no leases.  What the parent has goes to the graves, which keep
    a reference to it for ever: a finalizer's goodbye would be said on the parent's connection."""
    cdef PoolInner old = core.inner
    cdef PoolInner fresh
    cdef Entry entry
    cdef Pool *was = &old.pool
    cdef uint32_t i
    if was.generation == generation():
        return 0
    fresh = PoolInner()
    fresh.pool.max_size, fresh.pool.limit, fresh.pool.max_connecting = was.max_size, was.limit, was.max_connecting
    fresh.pool.gate = was.gate & (CLOSED | SLOW_TAKE | SLOW_GIVE)
    inherited = core.entries
    Py_INCREF(old)
    Py_INCREF(inherited)
    core_move_in(core, fresh)
    core.entries, core.by_id, core.queued, core.queued_green = [], {}, {}, {}
    core.queued_tasks, core.lost = set(), []
    core.inherited.append(inherited)
    line_rouse_orphans(was)
    core._forked()
    for entry in inherited:
        # A lease that was open in the forking thread ends in the child too, and is abandoned there.
        if entry.connection is not None and slot_state(u64_load(&entry.slot.word)) != LEASED:
            fork_abandon(core, entry.connection)
    return 0
