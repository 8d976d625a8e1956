# The memory of a pool, and the Python side of a slot.


@cython.final
cdef class PoolInner:
    """The native part of one pool; it lives as long as any seat of it is in somebody's hands."""
    cdef Pool pool
    cdef Histogram wait, connect, hold
    cdef uint64_t totals[TOTAL_COUNT]
    cdef uint64_t closed[REASON_COUNT]

    def __cinit__(self):
        global last_pool_id
        self.pool.id = u64_add(&last_pool_id, 1) + 1
        self.pool.generation = generation()
        if queue_open(&self.pool.queue) < 0:
            raise MemoryError("fastpool: no lock to be had")

    def __dealloc__(self):
        table_free(&self.pool.table)
        if self.pool.queue.mutex != NULL:
            lock_free(self.pool.queue.mutex)


@cython.final
@cython.no_gc_clear
cdef class Entry:
    """The place of one connection, as its driver sees it: stays the same when the connection is replaced.

    A driver that tracks calls (``Driver.tracks_calls``) reports them here: `begin_call` before anything is
    sent, `end_call` when the whole reply has been read.  What lies between is a call under way; a lease that ends so
    costs the connection.
    """
    cdef PoolInner inner
    cdef Slot *slot
    cdef uint64_t born_in          # generation of the process that made it
    cdef readonly object connection
    cdef public object driver_data       # the driver's own, kept across reconnects
    cdef public object server
    cdef object green              # weak reference to the holder's greenlet, None for a thread's main one
    cdef readonly object task      # weak reference to the holder's task
    cdef object loop               # the event loop it was opened in, None for a synchronous connection
    cdef object descriptor         # what gives its descriptor, see look_up_descriptor(); None: it has none to look at
    cdef bint bound                # held by a block, which ends where it began
    cdef bint returning            # a thread ends the block for a task, which need not wait for it
    cdef uint64_t recent_holders[8]          # threads that held it lately
    cdef int at

    def __cinit__(self):
        self.born_in = generation()

    def __dealloc__(self):
        # In a child, the parent's connection: its own finalizer would say goodbye to the server in the parent's name.
        if self.born_in != generation() and self.connection is not None:
            Py_INCREF(self.connection)
        # A collection of the pool together with a lease may destroy the entry before the lease, whose finalizer looks.
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
        """Is the connection leased?"""
        return slot_state(u64_load(&self.slot.word)) == LEASED and self.born_in == generation()

    @property
    def busy(self):
        """Is a call under way?"""
        return (u32_load(&self.slot.mark) & BUSY) != 0

    @property
    def tainted(self):
        """Is it unfit for the next caller?"""
        return (u32_load(&self.slot.mark) & TAINTED) != 0

    @property
    def needs_reset(self):
        """Is there something for the driver's reset to tidy before the next caller?"""
        return (u32_load(&self.slot.mark) & NEEDS_RESET) != 0

    @needs_reset.setter
    def needs_reset(self, bint value):
        if value:
            u32_or(&self.slot.mark, NEEDS_RESET)
        else:
            u32_and(&self.slot.mark, ~<uint32_t>NEEDS_RESET)

    @property
    def renew(self):
        """Did an inner block break the connection that an outer block still holds?"""
        return (u32_load(&self.slot.mark) & RENEW) != 0

    @cython.binding(False)
    def renewed(self):
        """The driver has rebuilt what an inner block broke."""
        u32_and(&self.slot.mark, ~<uint32_t>(RENEW | TAINTED | DESYNC | BUSY))

    @cython.binding(False)
    def begin_call(self):
        """A call begins.  LeaseError: nobody holds the connection, a call is under way, the caller's lease is over."""
        cdef Slot *slot = self.slot
        cdef uint64_t me
        cdef int i
        if slot_state(u64_load(&slot.word)) != LEASED or self.born_in != generation():
            self._refuse("nobody holds it now")
        me = thread_self().uid
        # In an event loop it is tasks that hold; their driver knows them apart by `task`.
        if u64_peek(&slot.owner) != me and self.loop is None:
            for i in range(8):
                if self.recent_holders[i] == me:
                    self._refuse("this thread's lease on it is over and another one holds it now")
        if u32_or(&slot.mark, BUSY) & BUSY:
            self._refuse("another call on it is under way, or was interrupted")

    @cython.binding(False)
    def end_call(self):
        """The whole reply was read."""
        u32_and(&self.slot.mark, ~<uint32_t>BUSY)

    @cython.binding(False)
    def taint(self, bint desync=False):
        """Not fit for another caller: to be replaced at the end of the lease.

        astray: because a reply came that nobody had asked for (counted as desync).
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
    """The slot's Python side, made when a connection is first opened in it."""
    cdef Entry entry
    if slot.entry != NULL:
        return <Entry>slot.entry
    entry = Entry.__new__(Entry)
    entry.inner = core.inner
    entry.slot = slot
    core.entries.append(entry)  # keeps it alive; the slot refers to it without counting
    slot.entry = <void *>entry
    return entry
