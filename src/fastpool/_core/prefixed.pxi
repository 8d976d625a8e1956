# The hot methods of the Thrift drop-ins, whose blocks may have a table prefix of their own.
#
# They are compiled because `with pool.connection():` must not cost a Python frame, and in classes of their own because
# other pools must refuse these arguments.  The adapters implement prefixes, in Python: `_prefixed` and `_aprefixed`.


cdef class PrefixedCore(BlockingCore):
    """The hot methods of a pool whose checkouts block, with a prefix for one block."""

    @cython.binding(False)
    def connection(self, timeout=..., table_prefix=None, table_prefix_separator=None):
        """Return a lease, to be used as ``with pool.connection() as c:`` (also as a decorator).

        timeout: the seconds that this checkout may take in total; None: no limit; 0: only what is free now; by default
        the pool's own.  table_prefix: that of the connection in this block only; None: the enclosing block's, or the
        pool's.  table_prefix_separator: goes with table_prefix; None: the pool's.  The block may raise
        NoConnectionsAvailable, PoolOverloaded, PoolClosed, or whatever the driver's connect raises; TypeError here for
        a prefix or separator that is no string.
        """
        if table_prefix is None and table_prefix_separator is None:
            return core_lease(self, timeout)
        return self._prefixed(timeout, table_prefix, table_prefix_separator)


cdef class AwaitingPrefixedCore(AwaitingCore):
    """The hot methods of a pool whose checkouts are awaited, with a prefix for one block."""

    @cython.binding(False)
    def aconnection(self, timeout=..., table_prefix=None, table_prefix_separator=None):
        """Return a task's lease, to be used as ``async with pool.connection() as c:`` (also as a decorator).

        timeout: the seconds that this checkout may take in total; None: no limit; 0: only what is free now; by default
        the pool's own.  table_prefix: that of the connection in this block only; None: the enclosing block's, or the
        pool's.  table_prefix_separator: goes with table_prefix; None: the pool's.  Exceptions: as for a Pool's
        ``connection``; TypeError here for a prefix or separator that is no string.
        """
        if table_prefix is None and table_prefix_separator is None:
            return core_task_lease(self, timeout)
        return self._aprefixed(timeout, table_prefix, table_prefix_separator)


fp_name_in_class(AwaitingPrefixedCore, "connection", AwaitingPrefixedCore.__dict__["aconnection"])
