# The right to use a connection for the length of a block.

@cython.freelist(64)
@cython.no_gc_clear
cdef class Lease:
    """One checkout; good for one block.  What a thread's block and a task's have in common."""
    cdef vectorcallfunc called  # see Door
    cdef Core core
    cdef Slot *slot
    cdef uint64_t word          # the slot's word while this lease holds it
    cdef uint64_t born_in       # generation of the process
    cdef int64_t timeout_ns
    cdef object timeout         # not looked at yet (the drop-in raises for a bad one at __enter__)
    cdef uint32_t state
    cdef readonly bint discarded
    cdef bint asked             # somebody looked up __enter__ or __aenter__

    @property
    def connection(self):
        """What the block was given; None outside of it."""
        return (<Seat>self.slot.seat).connection if self.state == ENTERED else None

    def discard(self):
        """Close the connection at the end of the block instead of returning it."""
        self.discarded = True

    def __repr__(self):
        state = ("not entered", "held", "over")[self.state]
        return f"<fastpool.Lease {state}{'' if self.core is None else ' of ' + repr(self.core.name)}>"

    def __dealloc__(self):
        # A block that nobody will ever end.  A finalizer may run anywhere, so no I/O and no user code: the next
        # one who takes the slot finds the mark and replaces the connection.
        if self.state == ENTERED and self.core is not None and self.born_in == generation():
            lease_lost(self)


@cython.final
@cython.no_gc_clear
cdef class Block(Lease):
    """One checkout, as a context manager; made by ``pool.connection()`` and good for one block."""

    def __cinit__(self):
        self.called = <vectorcallfunc><void *>block_called

    def __enter__(self):
        return lease_begin(self)

    def __exit__(self, kind, exc, trace):
        return lease_over(self, exc, False)

    def __call__(self, function):
        """As a decorator: every call of `function` runs inside a lease of its own, as contextlib's do."""
        return lease_decorate(self, function)


cdef inline int lease_begins(Lease self, Core core, object timeout) except -1:
    """A lease that is new, or used again, is made for a checkout."""
    self.state = NEW
    self.discarded = False
    self.timeout = None
    self.core = core
    if timeout is ...:
        self.timeout_ns = core.timeout_ns
    elif core.lazy_timeout and timeout is not None:
        self.timeout = timeout
    else:
        self.timeout_ns = timeout_ns(timeout)
    return 0


cdef object lease_begin(Lease self):
    """The way in."""
    cdef Core core = self.core
    cdef Slot *slot
    cdef Visit *visit
    cdef Thread *me
    cdef int64_t now
    green = task = None
    self.asked = False
    if core is None or self.state != NEW:
        raise LeaseError("a lease is good for one block: call pool.connection() for each")
    me = thread_self()
    visit = visit_find(me, core.pool.id)
    if begins_plainly(self, core, visit, core.nested):
        if may_be_in_a_world():
            green = weakref_or_none(green_here())
            task = weakref_or_none(task_here())
        slot = <Slot *>visit.slot
        if not lease_retake(visit):
            slot = idle_take(&core.pool.idle, &core.pool.table)
        if slot != NULL:
            now = clock_near_ns(me)
            if is_fresh(slot, now):
                hold(self, core, slot)
                lease_open(slot, me, visit, now)
                if (<Seat>slot.seat).green is not green or (<Seat>slot.seat).task is not task:
                    (<Seat>slot.seat).green, (<Seat>slot.seat).task = green, task
                    (<Seat>slot.seat).returning = False
                if not (<Seat>slot.seat).bound:
                    (<Seat>slot.seat).bound = True  # not written in vain: seats of two threads may share a line
                return lease_connection(self, core) if FREE_THREADED else (<Seat>slot.seat).connection
            return lease_enter(self, slot)
    return lease_enter(self, NULL)


cdef inline bint begins_plainly(Lease self, Core core, Visit *visit, bint shares) noexcept:
    """Is nothing to be asked before an idle slot is taken?  shares: the connection that its owner holds already."""
    return (
        visit != NULL
        and u64_peek(&core.pool.gate) & ~(CROWDED | SLOW_GIVE) == 0
        and core.pool.generation == generation()
        and self.timeout is None
        and not (shares and visit.held)
    )


cdef inline bint is_fresh(Slot *slot, int64_t now) noexcept nogil:
    """May this connection be handed out without a look?"""
    return now + COARSE_NS < i64_peek(&slot.fresh_ns) and u32_peek(&slot.mark) == 0


cdef inline void hold(Lease self, Core core, Slot *slot) noexcept:
    """This lease begins on a slot just taken; before lease_open, from which on another thread's close(timeout) may
    end it."""
    self.word = slot_lease(u64_peek(&slot.word))
    slot.uses += 1
    self.slot = slot
    self.born_in = core.pool.generation
    self.state = ENTERED


cdef object lease_over(Lease self, object exc, bint looked):
    """The way out of a block that `exc` left, None if nothing did.  looked: the connection is known to be open."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    cdef Visit *visit
    cdef Thread *me
    cdef int64_t now
    if self.state != ENTERED:
        raise LeaseError("this block has ended already: a lease is good for one block")
    if exc is None and ends_plainly(self, core, slot) and (
        looked or (<Seat>slot.seat).descriptor is None or left_open(self, core, slot)
    ):
        if FREE_THREADED and not claim(slot, self.word):
            return lease_exit(self, exc)  # a checkin or a close() came between: the slot is not ours to free
        self.state = DONE
        me = thread_self()
        visit = visit_find(me, core.pool.id)
        if core.stamps:
            now = clock_near_ns(me)
            i64_put(&slot.since_ns, now)
            i64_put(&slot.fresh_ns, fresh_until(core, slot, now))
        if core.marks:
            (<Seat>slot.seat).remember(u64_peek(&slot.owner))
        lease_shut(slot, me, visit)
        idle_put(&core.pool.idle, &core.pool.table, slot)
        if FREE_THREADED and u32_load(&slot.mark) & OUTDATED:
            i64_put(&slot.fresh_ns, 0)  # a clear() came between: the next taker looks
        # The slot is free now; whoever began to wait, or closed or shrank the pool, meanwhile is served from here.
        if u64_load_sc(&core.pool.gate) & (QUEUED_MASK | CLOSED | CROWDED):
            after_giving(core)
        self.core = None
        keep_for_the_next(core, self)
        return None
    return lease_exit(self, exc)


cdef bint left_open(Lease self, Core core, Slot *slot) except -1:
    """Is the connection open, and does its lease end as plainly as before it was asked?"""
    try:
        return is_open(core, <Seat>slot.seat) and ends_plainly(self, core, slot)
    except BaseException as error:  # a signal handler's: the lease ends all the same
        lease_exit(self, error)
        raise


cdef inline void keep_for_the_next(Core core, Lease lease) noexcept:
    if FREE_THREADED:
        return
    if type(lease) is Block:
        core.spare = lease
    else:
        core.spare_task = lease


cdef inline bint ends_plainly(Lease self, Core core, Slot *slot) noexcept:
    """Is nothing to be done at the end of this lease but to free its slot?"""
    return (
        u64_peek(&core.pool.gate) == 0
        and slot.depth == 1
        and u32_peek(&slot.mark) == 0
        and slot_lease(u64_peek(&slot.word)) == self.word
        and self.born_in == generation()
        and not self.discarded
        and slot.uses < core.max_uses
    )


cdef object lease_decorate(Lease self, object function):
    cdef Core core = self.core
    if core is None:
        raise LeaseError("a lease is good for one block: call pool.connection() for each")
    limit = self.timeout if self.timeout is not None else (None if self.timeout_ns < 0 else self.timeout_ns / 1e9)
    from ._decorate import leased, leased_task
    return (leased if type(self) is Block else leased_task)(core, limit, function)


cdef object lease_enter(Lease self, Slot *slot):
    """The slow way in; `slot`: an idle one just taken that must be looked at first."""
    cdef Core core = self.core
    cdef uint64_t word
    if self.timeout is not None:
        self.timeout_ns = timeout_ns(self.timeout)
        self.timeout = None
    if core.nested and slot == NULL and lease_share(self):
        return (<Seat>self.slot.seat).connection
    slot = take(core, self.timeout_ns, BY_BLOCK, slot, &word)
    lease_attach(self, slot, word)
    return lease_connection(self, core)


cdef bint lease_share(Lease self) except -1:
    """Nested: enter on the connection that this very owner holds already; False: it holds none."""
    cdef Core core = self.core
    cdef Seat seat = find_shared(core)
    if seat is None:
        return False
    lease_attach(self, seat.slot, slot_lease(u64_load(&seat.slot.word)))
    seat.slot.depth += 1
    if core.marks and u32_load(&seat.slot.mark) & TAINTED:
        u32_or(&seat.slot.mark, RENEW)  # a new block begins with a working connection, as in happybase
    return True


cdef object lease_connection(Lease self, Core core):
    """What the block is given.  PoolClosed: another thread's close(timeout) took it at this very moment."""
    c = (<Seat>self.slot.seat).connection
    if c is None:
        self.state = DONE
        self.core = None
        raise taken_back(core)
    return c


cdef object taken_back(Core core):
    return PoolClosed(f"pool {core.name!r} was closed, and took this connection back as it was handed out")


cdef void lease_attach(Lease self, Slot *slot, uint64_t word) noexcept:
    self.slot = slot
    self.word = word
    self.born_in = generation()
    self.state = ENTERED


cdef object lease_exit(Lease self, object exc):
    """The slow way out."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    cdef Seat seat = <Seat>slot.seat
    cdef bint broken
    if FREE_THREADED and not u32_cas(&self.state, ENTERED, DONE):
        raise LeaseError("this block has ended already: a lease is good for one block")
    self.state = DONE
    self.core = None
    if self.born_in != generation():
        if slot.depth > 1:
            slot.depth -= 1
        else:
            abandon(core, seat.connection)  # the parent goes on using it
        return None
    if slot_lease(u64_load(&slot.word)) != self.word:
        return lease_is_over(core, slot, exc)
    if slot.depth > 1:
        slot.depth -= 1
        broken = self.discarded or (u32_load(&slot.mark) & (BUSY | TAINTED)) != 0
        if not core.marks and exc is not None:
            broken = broken or not usable(core, seat.connection, exc)
        if broken:
            # The outer holder gets a working connection again where the driver can rebuild it, and in any case
            # nobody else gets this one.
            u32_or(&slot.mark, TAINTED | (RENEW if core.marks else 0))
            u32_and(&slot.mark, ~<uint32_t>BUSY)
        return None
    if not claim(slot, self.word):
        return lease_is_over(core, slot, exc)  # somebody else ended it a moment ago
    give_back(core, slot, exc, self.discarded)
    keep_for_the_next(core, self)
    return None


cdef object lease_is_over(Core core, Slot *slot, object exc):
    """The block ends after its lease."""
    if u64_load(&core.pool.gate) & CLOSED:
        return None  # close(timeout) took the connection; the block ends quietly
    if exc is not None:
        return None  # the caller's own error is what the caller sees
    raise LeaseError(f"connection {slot.index} was given back before its block ended")


cdef void lease_lost(Lease self) noexcept:
    cdef Slot *slot = self.slot
    if slot_lease(u64_load(&slot.word)) != self.word:
        return
    if slot.depth > 1:
        slot.depth -= 1
        return
    take_back(self.core, slot, self.word)


cdef bint claim(Slot *slot, uint64_t lease) noexcept nogil:
    """Begin to end a lease: of two who try, one succeeds, and then owns the slot."""
    cdef uint64_t seen
    while True:
        seen = u64_load(&slot.word)
        if slot_lease(seen) != lease or slot_state(seen) != LEASED or seen & ENDING:
            return False
        if u64_cas(&slot.word, seen, (seen + EPOCH) | ENDING):
            return True


cdef Seat find_shared(Core core):
    """The seat that this very owner (thread, greenlet, task) holds already; None if it holds none."""
    cdef Thread *me = thread_self()
    cdef Visit *visit = visit_make(me, core.pool.id, &core.pool.table)
    cdef uint32_t i, found = 0
    cdef uint64_t word
    cdef Slot *slot
    cdef Seat seat
    cdef Seat mine = None
    if visit.held == 0 or core.pool.generation != generation():
        return None
    green = task = None
    if may_be_in_a_world():
        green, task = green_here(), task_here()
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if u64_peek(&slot.owner) == me.uid and slot_state(word) == LEASED:
            found += 1
            seat = <Seat>slot.seat
            # what is being given back is not to be had any more: its reset, or a listener, may be what asks here
            if not word & ENDING and same_owner(seat.green, green) and same_owner(seat.task, task):
                mine = seat
    visit.held = found  # others may have returned some of this thread's leases
    return mine


cdef bint same_owner(object reference, object one) except -1:
    return one is None if reference is None else (one is not None and reference() is one)
