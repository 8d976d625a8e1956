# The native memory of a pool, and the Python side of a slot.


@cython.final
cdef class PoolInner:
    """The native part of one pool; it lives as long as any entry of the pool is referenced."""
    cdef Pool pool
    cdef Histogram wait, connect, hold
    cdef uint64_t totals[TOTAL_COUNT]
    cdef uint64_t closed[REASON_COUNT]

    def __cinit__(self):
        global last_pool_id
        self.pool.id = u64_add(&last_pool_id, 1) + 1
        self.pool.generation = generation()
        if queue_open(&self.pool.queue) < 0:
            raise MemoryError("fastpool: cannot allocate a lock")

    def __dealloc__(self):
        table_free(&self.pool.table)
        if self.pool.queue.mutex != NULL:
            lock_free(self.pool.queue.mutex)


@cython.final
@cython.no_gc_clear
cdef class Entry:
    """The place of one connection, as its driver sees it; it stays when the connection is replaced.

    A driver that tracks calls (``Driver.tracks_calls``) reports them here: `begin_call` before anything is
    sent, `end_call` when the whole reply has been read.  In between a call is under way; if the lease ends then, the
    connection is closed.
    """
    cdef PoolInner inner
    cdef Slot *slot
    cdef uint64_t born_in          # generation of the process that made it
    cdef readonly object connection
    cdef public object driver_data       # the driver's own, kept across reconnects
    cdef public object server
    cdef readonly object request    # what the checkout asks for that opens a connection here; None: nothing special
    cdef object green              # weak reference to the holder's greenlet, None for a thread's main one
    cdef readonly object task      # weak reference to the holder's task
    cdef object loop               # the event loop it was opened in, None for a synchronous connection
    cdef object descriptor         # a function for its descriptor, from fitness_look_up_descriptor; None: it has none
    cdef bint bound                # held by a block or by native code, not checked out by hand
    cdef int64_t held_ns           # how long blocks have held it in total; in full only with a driver that ends blocks
    cdef bint returning            # a thread ends the block for a task, which may not wait for that
    cdef uint64_t recent_holders[8]          # uids of threads that held it lately
    cdef int at

    def __cinit__(self):
        self.born_in = generation()

    def __dealloc__(self):
        # In a forked child: the connection's finalizer could send a close message on the socket shared with the parent.
        if self.born_in != generation() and self.connection is not None:
            Py_INCREF(self.connection)
        # The garbage collector may destroy the entry before a lease, whose finalizer reads slot.entry.
        if self.slot != NULL and self.slot.entry == <void *>self:
            self.slot.entry = NULL

    @property
    def index(self):
        return self.slot.index

    @property
    def epoch(self):
        """Changes with every checkout and every checkin."""
        return slot_lease(u64_load(&self.slot.word)) // EPOCH

    @property
    def held(self):
        """Whether the connection is leased."""
        return slot_state(u64_load(&self.slot.word)) == LEASED and self.born_in == generation()

    @property
    def busy(self):
        """Whether a call is under way."""
        return (u32_load(&self.slot.mark) & BUSY) != 0

    @property
    def tainted(self):
        """Whether the connection is unfit for the next caller."""
        return (u32_load(&self.slot.mark) & TAINTED) != 0

    @property
    def needs_reset(self):
        """Whether the connection needs the driver's reset before the next caller."""
        return (u32_load(&self.slot.mark) & NEEDS_RESET) != 0

    @needs_reset.setter
    def needs_reset(self, bint value):
        if value:
            u32_or(&self.slot.mark, NEEDS_RESET)
        else:
            u32_and(&self.slot.mark, ~<uint32_t>NEEDS_RESET)

    @property
    def renew(self):
        """Whether an inner block broke the connection that an outer block still holds."""
        return (u32_load(&self.slot.mark) & RENEW) != 0

    @cython.binding(False)
    def renewed(self):
        """Record that the driver has rebuilt what an inner block broke."""
        u32_and(&self.slot.mark, ~<uint32_t>(RENEW | TAINTED | DESYNC | BUSY))

    @cython.binding(False)
    def begin_call(self):
        """Begin a call.  LeaseError: the connection is not leased, or is busy, or the caller's lease is over."""
        cdef Slot *slot = self.slot
        cdef uint64_t me
        cdef int i
        if slot_state(u64_load(&slot.word)) != LEASED or self.born_in != generation():
            self._refuse("nobody holds it now")
        me = thread_self().uid
        # In an event loop the holders are tasks, which the driver tells apart by `task`.
        if u64_peek(&slot.owner) != me and self.loop is None:
            for i in range(8):
                if self.recent_holders[i] == me:
                    self._refuse("this thread's lease on it is over and another owner holds it now")
        if u32_or(&slot.mark, BUSY) & BUSY:
            self._refuse("another call on it is under way, or was interrupted")

    @cython.binding(False)
    def end_call(self):
        """End a call: the whole reply was read."""
        u32_and(&self.slot.mark, ~<uint32_t>BUSY)

    @cython.binding(False)
    def taint(self, bint desync=False):
        """Mark the connection unfit for another caller: it is replaced at the end of the lease.

        desync: because a reply came that belongs to no request (counted as desync).
        """
        u32_or(&self.slot.mark, TAINTED | DESYNC if desync else TAINTED)

    @cython.binding(False)
    def fence(self, uint64_t epoch):
        """LeaseError unless the lease of that epoch is still held."""
        cdef uint64_t word = u64_load(&self.slot.word)
        if slot_state(word) != LEASED or slot_lease(word) // EPOCH != epoch or self.born_in != generation():
            self._refuse("the lease under which it was made is over")

    cdef int _refuse(self, str why) except -1:
        raise LeaseError(
            f"use after return of connection {self.slot.index}: {why}; "
            "use a connection, and what was made from it, only inside its own `with pool.connection()` block"
        )

    cdef inline void remember(self, uint64_t uid) noexcept:
        if self.recent_holders[(self.at - 1) & 7] != uid:
            self.recent_holders[self.at] = uid
            self.at = (self.at + 1) & 7

    cdef inline void forget(self, uint64_t uid) noexcept:
        cdef int i
        for i in range(8):
            if self.recent_holders[i] == uid:
                self.recent_holders[i] = 0


cdef Entry entry_of_slot(Core core, Slot *slot):
    """The slot's entry, made when a connection is first opened in it."""
    cdef Entry entry
    if slot.entry != NULL:
        return <Entry>slot.entry
    entry = Entry.__new__(Entry)
    entry.inner = core.inner
    entry.slot = slot
    core.entries.append(entry)  # keeps it alive; the slot refers to it without counting
    slot.entry = <void *>entry
    return entry
