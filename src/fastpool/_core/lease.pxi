# The right to use a connection for the length of a block.

@cython.freelist(64)
@cython.no_gc_clear
cdef class AnyLease:
    """One checkout, good for one block: the base of a thread's lease and a task's."""
    cdef vectorcallfunc called  # see EnterExit
    cdef Core core
    cdef Slot *slot
    cdef uint64_t word          # the slot's word while this lease holds it
    cdef uint64_t born_in       # generation of the process
    cdef int64_t timeout_ns
    cdef object timeout         # not validated yet (the drop-in raises for a bad one at __enter__)
    cdef uint32_t state
    cdef readonly bint discarded
    cdef bint asked             # __enter__ or __aenter__ was looked up

    __class_getitem__ = classmethod(GenericAlias)

    @property
    def connection(self):
        """The block's connection; None outside of the block."""
        return (<Entry>self.slot.entry).connection if self.state == ENTERED else None

    def discard(self):
        """Close the connection at the end of the block instead of returning it."""
        self.discarded = True

    def __repr__(self):
        state = ("not entered", "held", "over")[self.state]
        return f"<fastpool.Lease {state}{'' if self.core is None else ' of ' + repr(self.core.name)}>"

    def __dealloc__(self):
        # The block will never be ended.  A finalizer may run anywhere, so no I/O and no user code: the next checkout of
        # the slot finds the mark, replaces the connection and reports it.
        if self.state == ENTERED and self.core is not None and self.born_in == generation():
            lease_lost(self)


@cython.final
@cython.no_gc_clear
cdef class Lease(AnyLease):
    """One checkout, as a context manager; made by ``pool.connection()`` and good for one block."""

    def __cinit__(self):
        self.called = <vectorcallfunc><void *>enter_exit_block

    def __enter__(self):
        return lease_enter(self)

    def __exit__(self, kind, exc, trace):
        return lease_exit(self, exc, False)

    def __call__(self, function):
        """As a decorator: every call of `function` runs inside a lease of its own, as contextlib's do."""
        return lease_decorate(self, function)


cdef inline int lease_init(AnyLease self, Core core, object timeout) except -1:
    """Prepare a new or reused lease for a checkout."""
    self.state = NEW
    self.discarded = False
    self.timeout = None
    self.core = core
    if timeout is ...:
        self.timeout_ns = core.timeout_ns
    elif type(timeout) is Selection or (core.lazy_timeout and timeout is not None):
        self.timeout = timeout
    else:
        self.timeout_ns = seconds_to_ns("timeout", timeout)
    return 0


cdef object lease_enter(AnyLease self):
    """Enter the block."""
    cdef Core core = self.core
    cdef Slot *slot = NULL
    cdef Slot *idle = NULL
    self.asked = False
    if core is None or self.state != NEW:
        raise LeaseError("a lease is good for one block: call pool.connection() for each")
    if self.timeout is None:
        slot = lease_at_once(core, self, &self.word, &idle)
    if slot == NULL:
        return lease_enter_slow(self, idle)
    self.slot = slot
    self.born_in = core.pool.generation
    self.state = ENTERED
    return lease_connection(self, core) if FREE_THREADED else (<Entry>slot.entry).connection


cdef object lease_exit(AnyLease self, object exc, bint looked):
    """Exit a block that `exc` left (None: no exception).  looked: the connection is known to be open."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    if self.state != ENTERED:
        raise LeaseError("this block has ended already: a lease is good for one block")
    if core.ends_blocks and not looked:
        if block_end_is_due(self, exc):
            return block_end_exit(self, exc)
        looked = exc is None
    if exc is None and lease_can_exit_fast(self, core, slot) and (
        looked or (<Entry>slot.entry).descriptor is None or block_end_left_open(self, core, slot)
    ):
        if not lease_free(core, self, slot, self.word):
            return lease_exit_slow(self, exc)
        self.state = DONE
        lease_freed(core)
        self.core = None
        lease_cache(core, self)
        return None
    return lease_exit_slow(self, exc)


cdef inline void lease_cache(Core core, AnyLease lease) noexcept:
    if FREE_THREADED:
        return
    if type(lease) is Lease:
        core.cached_lease = lease
    else:
        core.cached_task_lease = lease


cdef inline bint lease_can_exit_fast(AnyLease self, Core core, Slot *slot) noexcept:
    """Whether the end of this lease has only to free its slot."""
    return lease_can_end_at_once(core, slot, self.word) and self.born_in == generation() and not self.discarded


cdef object lease_decorate(AnyLease self, object function):
    cdef Core core = self.core
    if core is None:
        raise LeaseError("a lease is good for one block: call pool.connection() for each")
    limit = self.timeout if self.timeout is not None else (None if self.timeout_ns < 0 else self.timeout_ns / 1e9)
    from functools import partial
    from .decorate import leased, leased_task
    if type(self) is Lease:
        return leased(partial(core.connection, limit), function)
    return leased_task(partial(core.aconnection, limit), function)


cdef object lease_enter_slow(AnyLease self, Slot *slot):
    """Enter by the slow path; `slot`: an idle one just taken that must be looked at first, or NULL."""
    cdef Core core = self.core
    cdef Selection selection = lease_selection(self)
    cdef uint64_t word
    if core.nested and slot == NULL and lease_share(self, selection):
        return (<Entry>self.slot.entry).connection
    slot = checkout_slow(core, self.timeout_ns, BY_BLOCK, slot, &word, selection)
    lease_attach(self, slot, word)
    return lease_connection(self, core)


cdef Selection lease_selection(AnyLease self):
    """Read what `connection` was given: which connections will do (None: any), and the timeout, checked now."""
    cdef Selection selection = None
    if self.timeout is None:
        return None
    if type(self.timeout) is Selection:
        selection = <Selection>self.timeout
        self.timeout_ns = core_timeout_ns(self.core, selection.timeout)
    else:
        self.timeout_ns = seconds_to_ns("timeout", self.timeout)
    self.timeout = None
    return selection


cdef object lease_connection(AnyLease self, Core core):
    """The block's connection.  PoolClosed: another thread's close(timeout) took it at this very moment."""
    c = (<Entry>self.slot.entry).connection
    if c is None:
        self.state = DONE
        self.core = None
        raise lease_taken_back(core)
    return c


cdef object lease_taken_back(Core core):
    return core.driver.closed_error(
        f"pool {core.name!r} was closed, and took this connection back as it was handed out")


cdef void lease_attach(AnyLease self, Slot *slot, uint64_t word) noexcept:
    self.slot = slot
    self.word = word
    self.born_in = generation()
    self.state = ENTERED


cdef object lease_exit_slow(AnyLease self, object exc):
    """Exit by the slow path."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    cdef Entry entry = <Entry>slot.entry
    cdef bint broken
    if FREE_THREADED and not u32_cas(&self.state, ENTERED, DONE):
        raise LeaseError("this block has ended already: a lease is good for one block")
    self.state = DONE
    self.core = None
    if self.born_in != generation():
        if slot.depth > 1:
            slot.depth -= 1
        else:
            fork_abandon(core, entry.connection)  # the parent goes on using it
        return None
    if slot_lease(u64_load(&slot.word)) != self.word:
        return lease_is_over(core, slot, exc)
    if slot.depth > 1:
        slot.depth -= 1
        broken = self.discarded or (u32_load(&slot.mark) & (BUSY | TAINTED)) != 0
        if not core.tracks_calls and exc is not None:
            broken = broken or not checkin_usable(core, entry.connection, exc)
        if broken:
            # The outer holder gets a working connection again where the driver can rebuild it, and in any case
            # nobody else gets this one.
            u32_or(&slot.mark, TAINTED | (RENEW if core.tracks_calls else 0))
            u32_and(&slot.mark, ~<uint32_t>BUSY)
        return None
    if not lease_try_end(slot, self.word):
        return lease_is_over(core, slot, exc)  # another caller ended it a moment ago
    checkin_lease(core, slot, exc, self.discarded)
    lease_cache(core, self)
    return None


cdef object lease_is_over(Core core, Slot *slot, object exc):
    """End a block whose lease is over already."""
    if u64_load(&core.pool.gate) & CLOSED:
        return None  # close(timeout) took the connection; the block ends quietly
    if exc is not None:
        return None  # the caller's own error is what the caller sees
    raise LeaseError(f"connection {slot.index} was returned before its block ended")


cdef void lease_lost(AnyLease self) noexcept:
    cdef Slot *slot = self.slot
    if slot_lease(u64_load(&slot.word)) != self.word:
        return
    if slot.depth > 1:
        slot.depth -= 1
    elif self.core.reclaim:
        reclaim_end_dropped_lease(self.core, slot, self.word)


cdef bint lease_try_end(Slot *slot, uint64_t lease) noexcept nogil:
    """Begin to end a lease: of several concurrent calls one succeeds, and its caller then owns the slot."""
    cdef uint64_t seen
    while True:
        seen = u64_load(&slot.word)
        if slot_lease(seen) != lease or slot_state(seen) != LEASED or seen & ENDING:
            return False
        if u64_cas(&slot.word, seen, (seen + EPOCH) | ENDING):
            return True


cdef void lease_close(Core core, Slot *slot, Entry entry, Thread *me, ThreadHint *hint) noexcept:
    """Clear what belongs to an ended lease; the slot is still the caller's."""
    if core.tracks_calls:
        entry.remember(u64_peek(&slot.owner))
    if entry.bound:
        entry.held_ns += block_end_length(core, slot, me)
    else:
        core_count_by_hand(core, -1)
    entry.green = entry.task = None
    slot.depth = 0
    lease_shut(slot, me, hint)
