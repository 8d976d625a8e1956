# The hot methods of psycopg_pool's drop-ins: `timeout=None` is the pool's own timeout there, and a pool that has
# not been opened refuses.  Compiled because `with pool.connection():` must not cost a Python frame.


cdef class DefaultedCore(BlockingCore):
    """The hot methods of a pool whose checkouts block, where a timeout of None is the pool's own."""
    cdef public object before_use   # called at the beginning of each checkout; None: the pool is open

    @cython.binding(False)
    def connection(self, timeout=None):
        """Return a lease, to be used as ``with pool.connection() as conn:`` (also as a decorator).

        timeout: the seconds that this checkout may take in total; None: the pool's own.  The block is a transaction: it
        is committed at its end, or rolled back after an exception.  Raises PoolClosed; the block raises PoolTimeout,
        TooManyRequests, PoolClosed.
        """
        if self.before_use is not None:
            self.before_use()
        return core_lease(self, ... if timeout is None else timeout)

    @cython.binding(False)
    def getconn(self, timeout=None):
        """Check out a connection; return it with `putconn`.  Arguments and exceptions: as for `connection`."""
        if self.before_use is not None:
            self.before_use()
        return checkout_by_hand(self, timeout) if timeout is not None else defaulted_getconn(self)

    @cython.binding(False)
    def putconn(self, conn):
        """Return a connection that `getconn` gave; what is left of a transaction is rolled back.

        ValueError (a LeaseError, too): it is not out, or not this pool's.
        """
        if defaulted_putconn_fast(self, conn):
            return
        try:
            checkin_by_hand(self, conn, False)
        except LeaseError as error:
            self._putconn_refused(conn, error)


cdef class AwaitingDefaultedCore(AwaitingCore):
    """The hot methods of a pool whose checkouts are awaited, where a timeout of None is the pool's own."""
    cdef public object before_use   # called at the beginning of each checkout; None: the pool is open

    @cython.binding(False)
    def aconnection(self, timeout=None):
        """Return a task's lease, to be used as ``async with pool.connection() as conn:`` (also as a decorator).

        timeout: the seconds that this checkout may take in total; None: the pool's own.  The block is a transaction: it
        is committed at its end, or rolled back after an exception.  Raises PoolClosed; the block raises PoolTimeout,
        TooManyRequests, PoolClosed.
        """
        if self.before_use is not None:
            self.before_use()
        return core_task_lease(self, ... if timeout is None else timeout)


fp_name_in_class(AwaitingDefaultedCore, "connection", AwaitingDefaultedCore.__dict__["aconnection"])


cdef object defaulted_getconn(Core self):
    """Check out a connection by hand, with the pool's own timeout."""
    cdef Thread *me = thread_self()
    cdef ThreadHint *hint = hint_find(me, self.pool.id)
    cdef Slot *slot
    cdef uint64_t word
    cdef int64_t now
    cdef Entry entry
    if (
        hint == NULL
        or u64_peek(&self.pool.gate) & ~(OVER_SIZE | SLOW_GIVE) != 0
        or self.pool.generation != generation()
        or owner_may_be_green_or_task()
    ):
        return checkout_by_hand(self, ...)
    slot = lease_take_idle(self, hint)
    if slot == NULL:
        return checkout_by_hand(self, ...)
    now = clock_near_ns(me)
    if not lease_is_fresh(slot, now):
        slot = checkout_slow(self, self.timeout_ns, BY_HAND, slot, &word)
        return checkout_given_by_hand(self, slot, word)
    entry = <Entry>slot.entry
    entry.green = entry.task = None
    entry.bound = entry.returning = False
    self.by_hand += 1
    slot.uses += 1
    word = slot_lease(u64_peek(&slot.word))
    lease_open(slot, me, hint, now)
    return checkout_given_by_hand(self, slot, word)


cdef bint defaulted_is_reset(Core self, object c) except -1:
    try:
        return self.driver.is_reset(c)
    except BaseException:  # a signal handler's: the connection is returned all the same
        checkin_by_hand(self, c, False)
        raise


cdef bint defaulted_putconn_fast(Core self, object c) except -1:
    """Return a connection whose lease needs nothing but its slot freed; False: it does, or it cannot be returned."""
    cdef Thread *me
    cdef ThreadHint *hint
    cdef Slot *slot
    cdef uint64_t word
    known = self.by_id.get(id(c))
    if type(known) is not Entry or (<Entry>known).connection is not c or (<Entry>known).bound:
        return False
    slot = (<Entry>known).slot
    word = u64_load(&slot.word)
    if (
        u64_peek(&self.pool.gate) != 0
        or (<Entry>known).born_in != generation()
        or slot_state(word) != LEASED
        or u64_peek(&slot.owner) == 0
        or u32_peek(&slot.mark) != 0
        or slot.uses >= self.max_uses
        or not defaulted_is_reset(self, c)
        or not lease_try_end(slot, slot_lease(word))
    ):
        return False
    me = thread_self()
    hint = hint_find(me, self.pool.id)
    lease_stamp(self, slot, me)
    lease_close(self, slot, <Entry>known, me, hint)
    idle_put(&self.pool.idle, &self.pool.table, slot)
    if FREE_THREADED and u32_load(&slot.mark) & STALE:
        i64_put(&slot.fresh_ns, 0)  # a clear() came in between: the next checkout must look
    if u64_load_sc(&self.pool.gate) & ~(SLOW_TAKE | SLOW_GIVE):
        checkin_after_give(self)
    return True
