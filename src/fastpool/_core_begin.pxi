# How claims begin: for a checkout, for the end of a lease, for a connect that goes on without its caller.

cdef Claim claim_new(Core core, int64_t limit, object loop):
    cdef Claim claim = Claim.__new__(Claim)
    claim.core = core
    claim.loop = loop
    claim.born_in = generation()
    claim.began = clock_ns()
    claim.deadline = INT64_MAX if limit < 0 else claim.began + limit
    claim.instant = limit == 0
    return claim


cdef object claim_lease(Lease lease, object exc):
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
        lease_exit(lease, exc)
        return None
    lease.state = DONE
    lease.core = None
    if not claim(lease.slot, lease.word):
        return lease_is_over(core, lease.slot, exc)  # somebody else ended it a moment ago
    return claim_slot(core, lease.slot)


cdef Claim claim_slot(Core core, Slot *slot):
    cdef Claim claim = claim_new(core, -1, (<Seat>slot.seat).loop)
    claim.slot = slot
    return claim


cdef Claim claim_behind(Core core, Slot *slot, object loop):
    """A claim that owns this room, with its permit, for a connect that goes on when its caller's time is over."""
    cdef Claim claim = claim_new(core, BEHIND_NS, loop)
    claim.behind = claim.for_others = True
    claim.slot = slot
    return claim
