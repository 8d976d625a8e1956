# `async with`: a lease whose entry and exit are awaitables, which finish synchronously when nothing blocks.

cdef enum:              # what is awaited of a task's lease
    NOTHING, WAY_IN, WAY_OUT


@cython.final
@cython.no_gc_clear
cdef class AsyncLease(AnyLease):
    """One checkout of a task, as an asynchronous context manager; made by ``pool.aconnection()``, good for one block.

    ``__aenter__`` and ``__aexit__`` return the lease itself, to be awaited.  What has to wait runs in `inner`: the
    checkout in line, or a coroutine of the pool's Python half, which connects, checks, resets.
    """
    cdef uint32_t way
    cdef bint by_hand           # `await pool.checkout()`: it is over when the connection is given
    cdef object inner
    cdef Checkout checkout
    cdef object loop            # the running one, on entry
    cdef object error           # the exception that left the block

    def __cinit__(self):
        self.called = <vectorcallfunc><void *>enter_exit_task_block

    def __aenter__(self):
        return task_aenter(self)

    def __aexit__(self, kind, exc, trace):
        return task_aexit(self, exc)

    def __call__(self, function):
        """As a decorator: every call of the coroutine function runs inside a lease of its own."""
        return lease_decorate(self, function)

    def returning(self):
        """Record that a thread is about to end this lease for its task, which may not wait for that."""
        (<Entry>self.slot.entry).returning = True

    def end(self, error, bint looked=False):
        """End the lease at once.  looked: the driver has ended the block, and the connection is known to be open."""
        lease_exit(self, error, looked)

    def work(self, error):
        """Have the driver end the block, in this thread, which may block; the lease goes on."""
        if self.state == ENTERED and self.core.ends_blocks and block_end_is_due(self, error):
            block_end_call(self, error)

    def has_work(self, error):
        """Whether the driver has to end the block."""
        return self.state == ENTERED and self.core.ends_blocks and block_end_is_due(self, error)

    def __await__(self):
        return self

    def __next__(self):
        return await_step(self)

    def send(self, value):
        """As a coroutine's `send`."""
        return next(self)

    def throw(self, kind, value=None, trace=None):
        """Raise an exception in the task that awaits this."""
        error = task_thrown(kind, value, trace)
        if self.inner is None:
            task_clear(self)
            raise error
        try:
            return self.inner.throw(error)
        except StopIteration:
            c = task_inner_is_over(self)
        except BaseException:
            task_clear(self)
            raise
        self.way = NOTHING
        raise StopIteration(c)

    def close(self):
        """End what is awaited: the task is ended."""
        inner = self.inner
        task_clear(self)
        if inner is not None:
            inner.close()


cdef object task_aenter(AsyncLease self):
    self.asked = False
    if self.core is None or self.state != NEW or self.inner is not None:
        raise LeaseError("a lease is good for one block: call pool.connection() for each")
    self.way = WAY_IN
    return self


cdef object task_aexit(AsyncLease self, object error):
    if self.state == NEW:
        raise LeaseError("this block has not begun")
    self.way = WAY_OUT
    self.error = error
    return self


cdef int task_send(AsyncLease self, PyObject *sent, PyObject **result) except -1:
    """One step of the entry or exit that is awaited."""
    cdef PyObject *value = NULL
    cdef int said
    c = None
    if self.inner is None:
        if self.way == WAY_IN:
            c = task_acquire_fast(self)
        elif self.way == WAY_OUT:
            task_release(self)
        else:
            raise TypeError("a lease cannot be awaited: `async with pool.connection() as c` or `await pool.checkout()`")
    while self.inner is not None:
        try:
            said = PyIter_Send(self.inner, sent, &value)
            if said == PYGEN_NEXT:
                result[0] = value
                return PYGEN_NEXT
            Py_DECREF(<object>value)
            c = task_inner_is_over(self)
        except BaseException:
            task_clear(self)
            raise
        sent = <PyObject *>None
    self.way = NOTHING
    self.loop = None
    return task_yield(c, result, PYGEN_RETURN)


cdef object task_inner_is_over(AsyncLease self):
    """Go on after `inner`: the connection on entry, None if there is more to wait for."""
    if self.way == WAY_IN and self.inner is self.checkout:
        return task_after_line(self)
    self.inner = None
    return task_finish_acquire(self, clock_ns()) if self.way == WAY_IN else None


cdef int task_clear(AsyncLease self) except -1:
    """Clear what was awaited, which has failed."""
    self.way = NOTHING
    self.inner = self.checkout = self.loop = self.error = None
    return 0


# ---- entry ------------------------------------------------------------------------------------------------------

cdef object task_acquire_fast(AsyncLease self):
    """The connection, if one is available at once; None: `inner` must be awaited."""
    cdef Core core = self.core
    cdef Thread *me = thread_self()
    cdef ThreadHint *hint = hint_find(me, core.pool.id)
    cdef Slot *slot = NULL
    cdef int64_t now
    loop = self.loop = timer_loop_here()
    if self.timeout is None and lease_can_begin_at_once(core, hint, core.nested and not self.by_hand):
        slot = lease_take_idle(core, hint)
        if slot != NULL:
            now = clock_near_ns(me)
            if lease_is_fresh(slot, now) and (not core.of_loops or (<Entry>slot.entry).loop is loop):
                (<Entry>slot.entry).returning = False
                lease_attach(self, slot, lease_begin(core, slot, me, hint, now, BY_HAND if self.by_hand else BY_BLOCK))
                task_record_owner(<Entry>slot.entry, owner_ref(owner_task_in(loop)))
                return task_connection(self, core)
    return task_acquire_slow(self, core, loop, slot)


cdef object task_acquire_slow(AsyncLease self, Core core, object loop, Slot *slot):
    """Enter by the slow path; `slot`: an idle one just taken that must be looked at first, or NULL."""
    cdef Checkout checkout
    cdef Selection selection = lease_selection(self)
    if core.nested and slot == NULL and not self.by_hand and lease_share(self, selection):
        return lease_connection(self, core)
    try:
        checkout = self.checkout = checkout_new(core, self.timeout_ns, loop if core.of_loops else None)
    except BaseException:  # no memory
        if slot != NULL:
            checkin_give(core, slot)
        raise
    checkout.running = loop
    checkout.awaits = True
    checkout.selection = selection
    checkout_hold(checkout, slot)
    try:
        return task_begin_acquire(self, core, checkout)
    except BaseException:
        # of a signal handler, or of the selection: the slot in hand goes on to others, however long this lease is kept
        self.checkout = None
        raise


cdef object task_begin_acquire(AsyncLease self, Core core, Checkout checkout):
    """The connection, if nothing has to be awaited for it; None: `inner` must be awaited."""
    cdef bint has_slot = checkout.slot != NULL
    if has_slot:
        checkout_exchange(checkout)
    if core.was_opened and not core.hears & (EVENT_CHECKOUT_STARTED | EVENT_CHECKOUT_FAILED):
        if not has_slot and not checkout_take(checkout):
            checkout.just_begun = True
            self.inner = checkout
            return None
        # what a probe decides needs no coroutine; another step than READY is returned again to the one below
        if not (checkout_connecting(checkout) or maintenance_lacks_keeper(core)) and checkout_step(checkout) == READY:
            return task_finish_acquire(self, clock_ns())
    self.inner = core._obtain(checkout)
    return None


cdef object task_after_line(AsyncLease self):
    """The connection of a checkout that has left the line; None: there is more to wait for."""
    cdef Checkout checkout = self.checkout
    cdef Slot *slot = checkout.slot
    cdef int64_t now = clock_ns()
    if (
        slot != NULL
        and not checkout_connecting(checkout)
        and u32_load(&slot.mark) == 0
        and now < i64_peek(&slot.fresh_ns)
        and checkout_suits(checkout, slot)
    ):
        self.inner = None
        return task_finish_acquire(self, now)
    self.inner = self.core._obtain(checkout)
    return None


cdef object task_finish_acquire(AsyncLease self, int64_t now):
    """Make the checkout's connection, which is fit for use, this lease's."""
    cdef Checkout checkout = self.checkout
    cdef uint64_t word
    cdef Slot *slot = checkout.slot
    cdef int how = BY_HAND if self.by_hand else BY_BLOCK
    word = checkout_make_lease(self.core, slot, thread_self(), checkout.began, now, how)
    checkout.slot = NULL
    lease_attach(self, slot, word)
    self.checkout = None
    task = owner_ref(owner_task_in(self.loop)) if checkout.task is None else checkout.task
    task_record_owner(<Entry>slot.entry, task)
    event_checked_out(self.core, <Entry>slot.entry, checkout.began)
    return task_connection(self, self.core)


cdef object task_connection(AsyncLease self, Core core):
    """The connection.  After a checkout by hand it is the caller's to return, and this lease is over."""
    c = lease_connection(self, core)
    if self.by_hand:
        self.state = DONE
        self.core = None
        lease_cache(core, self)
    return c


cdef inline int task_record_owner(Entry entry, object task) except -1:
    """Record the lease's owner: the running task (and its greenlet, if the loop runs in one)."""
    green = owner_greenlet()
    entry.green = None if green is None else owner_ref(green)  # hardly ever any: spare the call
    entry.task = task
    return 0


# ---- exit -------------------------------------------------------------------------------------------------------

cdef int task_release(AsyncLease self) except -1:
    """End the lease, unless that takes time: then `inner` must be awaited."""
    cdef Core core = self.core
    cdef bint at_once = self.state != ENTERED
    cdef bint looked = False
    error = self.error
    if error is not None:
        self.error = None
    if at_once:
        pass  # over already: lease_exit raises LeaseError
    elif core.ends_blocks and block_end_is_due(self, error):
        pass
    elif core.of_loops:
        looked = core.ends_blocks  # and has found nothing to do
        at_once = looked or not checkin_must_reset(core, self.slot)
    elif error is None:
        at_once = looked = lease_can_exit_fast(self, core, self.slot) or task_can_end_quietly(core, self)
        if at_once and (<Entry>self.slot.entry).descriptor is not None:
            at_once = task_left_open(self, core)  # closing what is left of it may take time
    if at_once:
        lease_exit(self, error, looked)
    else:
        self.inner = core._give_back(self, error)
    return 0


cdef bint task_left_open(AsyncLease self, Core core) except -1:
    """Whether the connection is open, or the end of the lease does not affect it."""
    if self.slot.depth > 1 or slot_lease(u64_load(&self.slot.word)) != self.word:
        return True
    try:
        return fitness_is_open(core, <Entry>self.slot.entry)
    except BaseException as error:  # a signal handler's: the lease ends all the same
        lease_exit_slow(self, error)
        raise


cdef bint task_can_end_quietly(Core core, AnyLease lease) noexcept:
    """Whether a normal end of this lease calls nothing of the driver's: no reset, no close."""
    cdef Slot *slot = lease.slot
    if lease.state != ENTERED or slot_lease(u64_load(&slot.word)) != lease.word or slot.depth > 1:
        return True
    # One second ahead, because the end of the lease compares again, a moment later.
    return (
        not lease.discarded
        and not core.has_reset
        and u32_load(&slot.mark) == 0
        and not u64_load(&core.pool.gate) & (CLOSED | OVER_SIZE | WANTED)
        and checkin_surplus(core, slot, clock_ns() + 1000000000) == KEEP
    )


fp_await_through(AsyncLease, <sendfunc><void *>task_send)
