# The pool's compiled half.  Pool and AsyncPool are Python subclasses of it.

cdef class Lease


cdef class Core:
    """What all pools share: the slots, the line, and the hot methods."""
    cdef PoolInner inner
    cdef Pool *pool                  # in the inner; good until the last breath, whatever the collector has cleared
    cdef uint64_t *totals            # likewise
    cdef PyObject *kept              # the reference that keeps it so
    cdef Lease cached_lease                 # a lease object whose block has ended
    cdef Lease cached_task_lease            # the same of a task's block
    cdef list entries                  # by slot index: keeps the entries alive
    cdef dict by_id                  # id(connection) -> entry, for checkin by hand; written at connect and close
    cdef dict queued                 # thread's number -> does all of it sleep? Of those that wait, to find deadlocks
    cdef dict queued_green           # owner_key() -> (thread's number, greenlet, task, waiter's address), likewise
    cdef set queued_tasks            # weak references to the tasks that wait while their loop runs on
    cdef int64_t by_hand             # leases that no block will end
    cdef public int own_references   # to each connection, by the pool and its driver
    cdef int64_t looked_ns           # when somebody looked for what is lost
    cdef int64_t collected_ns        # when gc.collect() was last called, before a deadlock was concluded
    cdef public object last_sight    # what an error told of the pool a moment ago, if many wait; None
    cdef public set leaks_told       # (slot, epoch) of the leases that were reported as leaks
    cdef dict dropped                # id -> connection that close() took from whoever had checked it out by hand
    cdef list inherited                 # what a fork left us: never to be touched, never to be destroyed
    cdef object __weakref__
    cdef readonly object driver
    cdef readonly str name
    cdef public object config        # Config
    cdef public object connector     # opens connections: servers, back-off
    cdef public object listeners
    cdef uint32_t hears              # what somebody listens to: HEAR_…; asked where a slot is in hand, so no Python
    cdef public object keeping       # the keeper's entry for this pool
    cdef public dict staff           # threads that make calls of the driver for tasks, once there are any
    cdef public bint needs_keeper    # its options ask for one
    cdef public bint was_opened      # open() has been called, or the first connection opened
    cdef readonly bint nested
    cdef readonly bint timing
    cdef bint reclaim                # end leases that nobody can end any more
    cdef bint collect_garbage        # may call gc.collect() for a caller that finds no connection
    cdef public bint of_loops        # a connection is only for the event loop that it was opened in
    cdef bint tracks_calls           # the driver reports its calls to the entry, whose marks decide the fitness
    cdef bint lazy_timeout           # a bad timeout raises at __enter__
    cdef bint has_check, has_reset
    cdef bint has_probe              # connections have a descriptor to look at
    cdef bint may_probe              # ... not known until one has been opened
    cdef bint own_fileno             # the driver's own fileno gives it
    cdef bint stamps                 # a checkin must read the clock
    cdef int64_t timeout_ns          # default; -1: no limit
    cdef int64_t check_ns, idle_ns, life_ns     # -1: none
    cdef int64_t check_limit_ns      # most that one check may take; -1: no limit of its own
    cdef dict silent                 # server's key -> when an impatient caller's check of it had no answer
    cdef uint64_t max_uses           # UINT64_MAX: no limit
    cdef int64_t max_waiting, max_idle          # -1: no limit
    cdef uint32_t server_count
    cdef dict server_keys
    cdef NativePool native           # what the C interface hands out
    cdef uint32_t native_opens

    def __cinit__(self, *args, **kwargs):
        core_move_in(self, PoolInner())
        self.entries = []
        self.by_id = {}
        self.queued = {}
        self.queued_green = {}
        self.queued_tasks = set()
        self.inherited = []
        self.leaks_told = set()
        self.own_references = 1
        self.dropped = {}
        self.server_keys = {}
        self.silent = {}
        self.staff = {}
        self.timeout_ns = self.check_limit_ns = self.idle_ns = self.life_ns = self.max_waiting = self.max_idle = -1

    def __dealloc__(self):
        if self.entries is not None:
            if self.pool.generation != generation():
                Py_INCREF(self.entries)  # the parent's connections: never to be destroyed here
            else:
                # Dropped without close(): the connections' own finalizers end them, now and not at some collection.
                for entry in self.entries:
                    (<Entry>entry).driver_data = (<Entry>entry).connection = (<Entry>entry).descriptor = None
        if self.kept != NULL:
            Py_DECREF(<object>self.kept)

    def _set_up(self, driver, str name, *, bint nested, bint timing, bint reclaim, bint collect_garbage,
                bint tracks_calls, bint lazy_timeout, bint has_check, bint has_reset, bint has_probe, bint may_probe):
        """What stays as it is for the pool's life."""
        self.driver = driver
        self.name = name
        self.nested = nested
        self.timing = timing
        self.reclaim = reclaim
        self.collect_garbage = collect_garbage
        self.tracks_calls = tracks_calls
        self.lazy_timeout = lazy_timeout
        self.has_check = has_check
        self.has_reset = has_reset
        self.has_probe = self.own_fileno = has_probe
        self.may_probe = may_probe
        if not without & NO_IMMORTALS:
            fp_immortal(self)

    def _set_sizes(self, uint32_t max_size, int64_t max_overflow, int64_t max_idle, uint32_t max_connecting):
        """What resize may change.  A smaller pool swallows slots as they come free; a larger one serves who waits."""
        fork_ensure_process(self)
        cdef Pool *pool = self.pool
        cdef int64_t limit = (1 << 20) if max_overflow < 0 else max_size + max_overflow
        u32_store(&pool.max_size, max_size)
        u32_store(&pool.max_connecting, max_connecting)
        # seq_cst: new room, published before this thread looks at the gate
        u32_swap(&pool.limit, <uint32_t>(limit if limit < (1 << 20) else (1 << 20)))
        self.max_idle = max_idle
        core_choose_flags(self)
        core_update_over_size(self)
        pool_shrink_vacant(pool)
        pool_settle_if(pool)

    def _set_times(self, int64_t timeout_ns, int64_t check_ns, int64_t idle_ns, int64_t life_ns, uint64_t max_uses,
                   int64_t max_waiting, int64_t check_limit_ns):
        """Limits in ns, -1 for none; max_uses 0 for none."""
        self.timeout_ns = timeout_ns
        self.check_ns = check_ns
        self.idle_ns = idle_ns
        self.life_ns = life_ns
        self.max_uses = max_uses if max_uses else UINT64_MAX
        self.max_waiting = max_waiting
        self.check_limit_ns = check_limit_ns
        core_choose_flags(self)

    def _set_listeners(self, listeners):
        self.listeners = listeners
        self.hears = 0
        for i, name in enumerate(EVENT_NAMES):
            if listeners.hears(name):
                self.hears |= 1 << i
        core_choose_flags(self)

    # ---- the hot methods ------------------------------------------------------------------------------------

    @cython.binding(False)
    def connection(self, timeout=...):
        """Return a lease, to be used as ``with pool.connection() as c:`` (also as a decorator).

        timeout: seconds this checkout may take, all told; None for no limit, 0 for only what is free now; left out,
        the pool's own.  The block may raise NoConnectionsAvailable, PoolOverloaded, PoolClosed, or whatever the
        driver's connect raises.
        """
        cdef Lease lease = self.cached_lease
        if FREE_THREADED or lease is None or Py_REFCNT(lease) != 2:
            lease = Block.__new__(Block)
        else:
            self.cached_lease = None
        lease_init(lease, self, timeout)
        return lease

    @cython.binding(False)
    def checkout(self, timeout=...):
        """Take a connection by hand; give it back with `checkin`, exactly once.  Raises as `connection` does."""
        cdef int64_t limit = self.timeout_ns if timeout is ... else checkout_timeout_ns(timeout)
        cdef uint64_t word
        cdef Slot *slot = checkout_slow(self, limit, BY_HAND, NULL, &word)
        c = (<Entry>slot.entry).connection
        if c is None:
            raise lease_taken_back(self)  # by another thread's close(timeout)
        try:
            # A signal that came meanwhile strikes here, and not between this return and the caller's assignment.
            PyErr_CheckSignals()
        except BaseException:
            if lease_try_end(slot, word):
                checkin_lease(self, slot, None, False)
            raise
        return c

    def checkin(self, c, bint discard=False):
        """Give back a connection that `checkout` gave; from any thread.

        discard: close it instead of keeping it.  LeaseError: it is not out, or not this pool's.
        """
        checkin_by_hand(self, c, discard)

    # ---- for code that awaits -------------------------------------------------------------------------------

    @cython.binding(False)
    def aconnection(self, timeout=...):
        """Return a task's lease, to be used as ``async with pool.aconnection() as c:`` (also as a decorator).

        A task waits in the same line as threads and greenlets, its loop running on.  ``timeout`` and what may be
        raised: as for ``connection``.
        """
        cdef Lease lease = self.cached_task_lease
        if FREE_THREADED or lease is None or Py_REFCNT(lease) != 2:
            lease = TaskBlock.__new__(TaskBlock)
        else:
            self.cached_task_lease = None
        lease_init(lease, self, timeout)
        return lease

    def _acheckout(self, timeout):
        """What ``await`` gets a connection from that will be given back by hand."""
        cdef TaskBlock block = TaskBlock.__new__(TaskBlock)
        lease_init(block, self, timeout)
        block.by_hand = True
        block.way = WAY_IN
        return block

    def _new_checkout(self, timeout, loop):
        """Begin a checkout step by step."""
        return checkout_new(self, self.timeout_ns if timeout is ... else checkout_timeout_ns(timeout), loop)

    def _checkin_of(self, Lease lease, error):
        """Begin the checkin of a lease step by step; None if nothing is left to do."""
        return lease_begin_checkin(lease, error)

    def _checkin_by_hand(self, c, bint discard):
        """Begin the checkin of a connection that was checked out by hand; None if nothing is left to do."""
        cdef Slot *slot = checkin_claim_by_hand(self, c)
        return None if slot == NULL else checkin_new(self, slot, None, discard)

    # ---- what the Python half asks --------------------------------------------------------------------------

    def __len__(self):
        fork_ensure_process(self)
        cdef int64_t n = i64_peek(&self.pool.opened) - u32_load(&self.pool.connecting)
        return n if n > 0 else 0

    @property
    def closed(self):
        """Has close() been called?"""
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
        """Who holds what: rows as `lease_rows` gives them."""
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
        """No more checkouts: those in line leave with PoolClosed.  False: it was shut."""
        fork_ensure_process(self)
        if u64_or(&self.pool.gate, CLOSED) & CLOSED:
            return False
        pool_abandon_waiters(self.pool)
        return True

    def _drop_leased(self):
        """After close(timeout): take the connections of those who still hold one; their blocks end quietly."""
        fork_ensure_process(self)
        return retire_leased(self)

    def _make_stale(self):
        """clear(): idle connections are closed, all others when they come back."""
        fork_ensure_process(self)
        retire_make_stale(self)

    def _open_one(self, int64_t timeout_ns, list opened=None):
        """Open one more connection and leave it idle; False: there is no room, or no permit to connect.

        opened: where to write down which connection it is, for `_close_unused`.
        """
        return connect_one(self, timeout_ns, opened)

    def _close_unused(self, list opened):
        """Close the connections that were written down there, except those that somebody holds."""
        fork_ensure_process(self)
        connect_close_unused(self, opened)

    def _retire_idle(self, str reason, int64_t keep):
        """Close idle connections that are too old, or too long unused ('lifetime', 'idle' …), keeping `keep` open."""
        fork_ensure_process(self)
        return retire_idle(self, REASONS.index(reason), keep)

    def _keep_alive(self, int64_t older_than_ns):
        """Ping the idle connections that were neither used nor checked for so long; how many were dead."""
        fork_ensure_process(self)
        return maintenance_keep_alive(self, older_than_ns)

    def _idle_rows(self):
        """For the keeper, of each idle connection: (idle since, opened at, too old at, last checked), in ns."""
        fork_ensure_process(self)
        cdef list found = []
        cdef uint32_t i
        cdef Slot *slot
        for i in range(u32_load(&self.pool.table.size)):
            slot = table_slot(&self.pool.table, i)
            if slot_state(u64_load(&slot.word)) == IDLE:
                found.append((i64_peek(&slot.since_ns), slot.born_ns, slot.expires_ns, slot.checked_ns))
        return found

    def _keep_for_parent(self):
        """In a forked child, at once: whatever becomes of this pool, its parent's connections are not destroyed."""
        if self.pool.generation != generation() and self.entries is not None:
            Py_INCREF(self.entries)
            if u64_load(&self.pool.gate) & QUEUED_MASK:
                fork_after(self)  # a greenlet of this thread may wait, here as well as in the parent

    @property
    def _lacks_keeper(self):
        return maintenance_lacks_keeper(self)

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


def rebind(cls, *names):
    """Give a subclass compiled methods of its own, so that the interpreter calls them as fast as their class's.

    The fast call of a method descriptor wants the exact type of the object; a subclass that inherits the method
    does not have it.
    """
    for name in names:
        for base in cls.__mro__:
            if name in base.__dict__:
                if not without & NO_BARE_METHODS and type(base.__dict__[name]).__name__ == "method_descriptor":
                    setattr(cls, name, fp_rebind(cls, base.__dict__[name]))
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


cdef int core_choose_flags(Core core) except -1:
    """Which checkouts and checkins have more to do than the fast paths."""
    cdef uint64_t flags = 0
    if core.timing:
        flags |= SLOW_TAKE | SLOW_GIVE
    if core.hears & (EVENT_CHECKOUT_STARTED | EVENT_CHECKED_OUT):
        flags |= SLOW_TAKE
    if core.hears & EVENT_CHECKED_IN:
        flags |= SLOW_GIVE
    if core.has_reset or core.max_idle >= 0:
        flags |= SLOW_GIVE
    core.stamps = core.idle_ns >= 0 or core.life_ns >= 0 or (
        core.check_ns >= 0 and (core.has_check or core.has_probe))
    u64_or(&core.pool.gate, flags)
    u64_and(&core.pool.gate, flags | ~(SLOW_TAKE | SLOW_GIVE))
    return 0


cdef void core_update_over_size(Core core) noexcept:
    if i64_peek(&core.pool.opened) > <int64_t>u32_load(&core.pool.max_size):
        u64_or(&core.pool.gate, OVER_SIZE)
    else:
        u64_and(&core.pool.gate, ~OVER_SIZE)
        if i64_peek(&core.pool.opened) > <int64_t>u32_load(&core.pool.max_size):
            u64_or(&core.pool.gate, OVER_SIZE)
