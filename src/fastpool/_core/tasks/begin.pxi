# How claims begin: for a checkout, for the end of a lease, for a connect that goes on without its caller.

cdef Checkout task_checkout_new(Core core, int64_t limit, object loop):
    cdef Checkout claim = Checkout.__new__(Checkout)
    claim.core = core
    claim.loop = loop
    claim.born_in = generation()
    claim.began = clock_ns()
    claim.deadline = INT64_MAX if limit < 0 else claim.began + limit
    claim.instant = limit == 0
    return claim


cdef object task_checkout_of_lease(Lease lease, object exc):
    """End a lease and own its slot, to finish the checkin step by step.

    None: nothing is left to do (an inner block, a lease that close() dropped, a fork).
    """
    cdef Core core = lease.core
    if lease.state != ENTERED:
        raise LeaseError("this block has ended already: a lease is good for one block")
    if (
        lease.born_in != generation()
        or lease.slot.depth > 1
        or slot_lease(u64_load(&lease.slot.word)) != lease.word
    ):
        lease_exit_slow(lease, exc)
        return None
    lease.state = DONE
    lease.core = None
    if not lease_try_end(lease.slot, lease.word):
        return lease_is_over(core, lease.slot, exc)  # somebody else ended it a moment ago
    return task_checkout_of_slot(core, lease.slot)


cdef Checkout task_checkout_of_slot(Core core, Slot *slot):
    cdef Checkout claim = task_checkout_new(core, -1, (<Entry>slot.entry).loop)
    claim.slot = slot
    return claim


cdef Checkout task_checkout_behind(Core core, Slot *slot, object loop):
    """A claim that owns this room, with its permit, for a connect that goes on when its caller's time is over."""
    cdef Checkout claim = task_checkout_new(core, BEHIND_NS, loop)
    claim.behind = claim.for_others = True
    claim.slot = slot
    return claim
