# What a driver does at the end of a block, before the connection is returned: a database commits or rolls back.
#
# The driver is asked first whether there is anything to do, which must not cost more than a block does.

cdef bint block_end_is_due(AnyLease self, object exc) except -1:
    """Whether the driver has to end the block that `exc` left (None: no exception)."""
    cdef Slot *slot = self.slot
    if slot.depth > 1 or self.born_in != generation() or slot_lease(u64_peek(&slot.word)) != self.word:
        return False  # the outer block goes on; or the lease is not this block's any more
    if exc is not None:
        return True
    try:
        return not self.core.driver.is_clean((<Entry>slot.entry).connection)
    except BaseException as error:  # a signal handler's: the lease ends all the same
        if self.core.of_loops:
            self.discarded = True  # its reset would have to be awaited
        lease_exit_slow(self, error)
        raise


cdef object block_end_exit(AnyLease self, object exc):
    """Exit a block that the driver has to end.  What the driver raises is raised, and the lease is over."""
    try:
        block_end_call(self, exc)
    except BaseException as error:
        lease_exit_slow(self, error)
        raise
    return lease_exit_slow(self, exc)


cdef int block_end_call(AnyLease self, object exc) except -1:
    c = (<Entry>self.slot.entry).connection
    if c is not None:  # else close(timeout) took it while the driver was asked
        self.core.driver.end_block(c, exc)
    return 0


cdef bint block_end_left_open(AnyLease self, Core core, Slot *slot) except -1:
    """Whether the connection is open, and its lease, after that call, can still exit fast."""
    try:
        return fitness_is_open(core, <Entry>slot.entry) and lease_can_exit_fast(self, core, slot)
    except BaseException as error:  # a signal handler's: the lease ends all the same
        lease_exit_slow(self, error)
        raise


cdef inline int64_t block_end_length(Core core, Slot *slot, Thread *me) noexcept nogil:
    """How long the lease has lasted, by the clock that its beginning was read from."""
    return (clock_ns() if core.timing else clock_near_ns(me)) - i64_peek(&slot.since_ns)
