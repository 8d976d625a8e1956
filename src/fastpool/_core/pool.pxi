# The pool's compiled half.  BasePool is a Python subclass of it, and Pool and AsyncPool are subclasses of that.

cdef class Core(CoreState):
    """The base of all pools: a task's checkout, and the functions that their Python half calls."""

    __class_getitem__ = classmethod(GenericAlias)

    # ---- for code that awaits -------------------------------------------------------------------------------

    @cython.binding(False)
    def aconnection(self, timeout=...):
        """Return a task's lease, to be used as ``async with pool.aconnection() as c:`` (also as a decorator).

        A task waits in the same line as threads and greenlets, while its loop runs on.  ``timeout`` and exceptions:
        as for ``connection``.
        """
        return core_task_lease(self, timeout)

    @cython.binding(False)
    def _acheckout(self, timeout):
        """Return an awaitable that checks out a connection by hand."""
        cdef AsyncLease lease = core_task_lease(self, timeout)
        lease.by_hand = True
        lease.way = WAY_IN
        return lease

    def _new_checkout(self, timeout, loop):
        """Begin a checkout step by step."""
        return checkout_new(self, core_timeout_ns(self, timeout), loop)

    def _checkin_of(self, AnyLease lease, error):
        """Begin the checkin of a lease step by step; None if nothing is left to do."""
        return checkin_of_lease(lease, error)

    @cython.binding(False)
    def _checkin_by_hand(self, c, bint discard):
        """Begin the checkin of a connection that was checked out by hand; None if nothing is left to do."""
        cdef Slot *slot
        if not discard and by_hand_end_at_once(self, c):
            return None
        slot = by_hand_find(self, c)
        return None if slot == NULL else checkin_new(self, slot, None, discard)

    # ---- called by the Python half --------------------------------------------------------------------------

    def __len__(self):
        fork_ensure_process(self)
        cdef int64_t n = i64_peek(&self.pool.opened) - u32_load(&self.pool.connecting)
        return n if n > 0 else 0

    @property
    def _connecting(self):
        """How many connects are under way; `_counts` looks at every slot for the rest."""
        return u32_load(&self.pool.connecting)

    @property
    def _queued(self):
        """How many callers wait in line."""
        return u64_load(&self.pool.gate) & QUEUED_MASK

    @property
    def closed(self):
        """Whether close() has been called."""
        return (u64_load(&self.pool.gate) & CLOSED) != 0

    def _counts(self):
        """(now: idle, leased, connecting, waiting; totals: checkouts, checkins, then the pool-wide totals)."""
        fork_ensure_process(self)
        cdef int64_t idle = 0, leased = 0
        cdef uint64_t checkouts = 0, checkins = 0
        cdef uint32_t i
        cdef int k
        cdef Slot *slot
        cdef int state
        for i in range(u32_load(&self.pool.table.size)):
            slot = table_slot(&self.pool.table, i)
            checkins += u64_peek(&slot.checkins)
            checkouts += u64_peek(&slot.checkouts)
            state = slot_state(u64_load(&slot.word))
            if state == LEASED and u64_peek(&slot.owner) != 0:
                leased += 1
            elif state == IDLE or state == LEASED:  # LEASED to nobody: it is in hand, to be looked at
                idle += 1
        return (idle, leased, u32_load(&self.pool.connecting), u64_load(&self.pool.gate) & QUEUED_MASK,
                checkouts, checkins, [u64_peek(&self.totals[k]) for k in range(TOTAL_COUNT)],
                [u64_peek(&self.inner.closed[k]) for k in range(REASON_COUNT)])

    def _histogram(self, str which):
        """(count, sum_ns, max_ns, counts by bucket)."""
        cdef Histogram *h = &self.inner.wait
        cdef int i
        if which == "connect":
            h = &self.inner.connect
        elif which == "hold":
            h = &self.inner.hold
        return (u64_peek(&h.count), i64_peek(&h.sum_ns), u64_peek(&h.max_ns),
                [u64_peek(&h.buckets[i]) for i in range(BUCKETS)])

    def _leases(self):
        """The present leases: the rows of `reclaim_lease_rows`."""
        fork_ensure_process(self)
        return reclaim_lease_rows(self)

    def _slots(self):
        """For tests: (state, LISTED or ENDING, owner, mark, epoch) of every slot."""
        cdef list found = []
        cdef uint32_t i
        cdef uint64_t word
        for i in range(u32_load(&self.pool.table.size)):
            word = u64_load(&table_slot(&self.pool.table, i).word)
            found.append((slot_state(word), word & (LISTED | ENDING), u64_peek(&table_slot(&self.pool.table, i).owner),
                          u32_load(&table_slot(&self.pool.table, i).mark), word // EPOCH))
        return found

    def _shut(self):
        """Refuse checkouts from now on; waiters get PoolClosed.  False: it was shut already."""
        fork_ensure_process(self)
        if u64_or(&self.pool.gate, CLOSED) & CLOSED:
            return False
        pool_abandon_waiters(self.pool)
        return True

    def _drop_leased(self):
        """After close(timeout): take the connections that are still leased; their blocks end without an error."""
        fork_ensure_process(self)
        return retire_leased(self)

    def _make_stale(self):
        """For clear(): close idle connections now, all others when they are returned."""
        fork_ensure_process(self)
        retire_make_stale(self)

    def _open_one(self, int64_t timeout_ns, list opened=None):
        """Open one more connection and leave it idle; False: there is no room, or no permit to connect.

        opened: a list to which the connection is appended, for `_close_unused`.
        """
        return connect_one(self, timeout_ns, opened)

    def _exchange(self, Entry entry not None, c, server, str reason, double seconds):
        """Replace the connection of a lease that goes on by `c`, which took so many seconds to open; the caller closes
        the old one, in a pool with a shared name before `c` is opened: both have one permit.  reason: why the old one
        is closed.  PoolClosed: close(timeout) has taken it meanwhile."""
        connect_exchange(self, entry, c, server, REASONS.index(reason), seconds)

    def _close_unused(self, list opened):
        """Close the connections listed in `opened`, except those that were taken since."""
        fork_ensure_process(self)
        connect_close_unused(self, opened)

    def _retire_idle(self, str reason, int64_t keep):
        """Close idle connections that are too old, or too long unused ('lifetime', 'idle' …), keeping `keep` open."""
        fork_ensure_process(self)
        return retire_idle(self, REASONS.index(reason), keep)

    def _give_up_idle(self):
        """Close idle connections, one for each waiter of another process that needs a permit; how many."""
        return sharing_give_up(self)

    def _closed_one(self):
        """The close of a connection of this process has returned: its permit is free."""
        pool_closed_one(self.pool)

    def _sweep_closes(self):
        """Called now and then by the watcher, for permits of connections whose close can no longer be made."""

    def _keep_alive(self, int64_t older_than_ns):
        """Ping the idle connections neither used nor checked for that long; returns the number of dead ones."""
        fork_ensure_process(self)
        return maintenance_keep_alive(self, older_than_ns)

    def _idle_rows(self):
        """For the keeper, a row for each idle connection: (idle since, opened, expires, last checked), in ns."""
        fork_ensure_process(self)
        cdef list found = []
        cdef uint32_t i
        cdef Slot *slot
        for i in range(u32_load(&self.pool.table.size)):
            slot = table_slot(&self.pool.table, i)
            if slot_state(u64_load(&slot.word)) == IDLE:
                found.append((i64_peek(&slot.since_ns), slot.born_ns, slot.expires_ns, slot.checked_ns))
        return found

    def _idle_connections(self):
        """The idle connections, that which has been idle longest first; any of them may be taken at any moment."""
        fork_ensure_process(self)
        cdef list found = []
        cdef uint32_t i
        cdef Slot *slot
        for i in range(u32_load(&self.pool.table.size)):
            slot = table_slot(&self.pool.table, i)
            if slot_state(u64_load(&slot.word)) == IDLE:
                found.append((i64_peek(&slot.since_ns), i, (<Entry>slot.entry).connection))
        return [c for _, _, c in sorted(found) if c is not None]

    @property
    def _held_ns(self):
        """How long blocks have held connections, all together; only with a driver that ends blocks."""
        cdef int64_t total = 0
        for entry in self.entries:
            total += (<Entry>entry).held_ns
        return total

    def _keep_for_parent(self):
        """Called in a forked child, at once: the parent's connections are kept even if this pool is destroyed."""
        if self.pool.generation != generation() and self.entries is not None:
            Py_INCREF(self.entries)
            if u64_load(&self.pool.gate) & QUEUED_MASK:
                fork_after(self)  # a greenlet of this thread may be in line, here as well as in the parent

    @property
    def _lacks_keeper(self):
        return maintenance_lacks_keeper(self)

    def _tell(self, str name, **fields):
        """Tell the listeners of an event."""
        if self.listeners:
            self.listeners.tell(self, name, **fields)

    def _count_leak(self):
        u64_add(&self.totals[LEAKS], 1)

    @property
    def _id(self):
        """The pool's number in this process, never reused."""
        return self.pool.id

    @staticmethod
    def _thread_uid():
        """The calling thread's number, never reused."""
        return thread_self().uid


cdef inline int64_t core_timeout_ns(Core core, object timeout) except -2:
    """The time limit of a checkout in ns: that of the pool for `...`; -1: none."""
    return core.timeout_ns if timeout is ... else seconds_to_ns("timeout", timeout)


cdef inline AnyLease core_lease(Core core, object timeout):
    """A thread's lease, not yet entered: a used one if there is one."""
    cdef AnyLease lease = core.cached_lease
    if FREE_THREADED or lease is None or Py_REFCNT(lease) != 2:
        lease = Lease.__new__(Lease)
    else:
        core.cached_lease = None
    lease_init(lease, core, timeout)
    return lease


cdef inline AsyncLease core_task_lease(Core core, object timeout):
    """A task's lease for a block, not yet entered: a used one if there is one."""
    cdef AsyncLease lease = <AsyncLease>core.cached_task_lease
    if FREE_THREADED or lease is None or Py_REFCNT(lease) != 2:
        lease = AsyncLease.__new__(AsyncLease)
    else:
        core.cached_task_lease = None
        lease.by_hand = False
    lease_init(lease, core, timeout)
    return lease


cdef class BlockingCore(Core):
    """The hot methods of a pool whose checkouts block. Native code can use such a pool."""

    @cython.binding(False)
    def connection(self, timeout=...):
        """Return a lease, to be used as ``with pool.connection() as c:`` (also as a decorator).

        timeout: the seconds that this checkout may take in total; None: no limit; 0: only what is free now; by default
        the pool's own.  The block may raise NoConnectionsAvailable, PoolOverloaded, PoolClosed, or whatever the
        driver's connect raises.
        """
        return core_lease(self, timeout)

    @cython.binding(False)
    def checkout(self, timeout=...):
        """Check out a connection; return it with `checkin`, exactly once.  Raises what `connection` raises."""
        return by_hand_checkout(self, timeout)

    def checkin(self, c, bint discard=False):
        """Return a connection that `checkout` gave; from any thread.

        discard: close it instead of keeping it.  LeaseError: it is not out, or not this pool's.
        """
        by_hand_checkin(self, c, discard)


cdef class AwaitingCore(Core):
    """A pool whose checkouts are awaited: its `connection` is `aconnection`, the same method by another name."""


fp_name_in_class(AwaitingCore, "connection", Core.__dict__["aconnection"])


def rebind(cls, *names):
    """Give a subclass compiled methods of its own, so that the interpreter calls them as fast as their class's.

    The fast call of a method descriptor requires the exact type of the object; an instance of a subclass that
    inherits the method does not have it.
    """
    global methods_are_bare
    for name in names:
        for base in cls.__mro__:
            if name in base.__dict__:
                if not without & NO_BARE_METHODS and type(base.__dict__[name]).__name__ == "method_descriptor":
                    setattr(cls, name, fp_rebind(cls, base.__dict__[name]))
                    methods_are_bare = True
                break
    return cls


cdef int core_move_in(Core core, PoolInner inner) except -1:
    cdef PyObject *before = core.kept
    Py_INCREF(inner)
    core.kept = <PyObject *>inner
    core.inner = inner
    core.pool = &inner.pool
    core.totals = inner.totals
    inner.pool.wake = handle_wake
    if before != NULL:
        Py_DECREF(<object>before)
    return 0
