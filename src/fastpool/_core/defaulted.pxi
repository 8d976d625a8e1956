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
        return by_hand_checkout(self, ... if timeout is None else timeout)

    @cython.binding(False)
    def putconn(self, conn):
        """Return a connection that `getconn` gave; what is left of a transaction is rolled back.

        ValueError (a LeaseError, too): it is not out, or not this pool's.
        """
        try:
            by_hand_checkin(self, conn, False)
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
