# One checkout: what has to be done next, decided in one place for threads, greenlets, native code and tasks.
#
# `checkout_step` never blocks and calls neither connect, check nor close of the driver.  What it asks for is done by
# `checkout_run`, by calling, or by fastpool._async.checkout, by awaiting; docs/core.md has the picture.

@cython.final
@cython.freelist(16)
@cython.no_gc_clear
cdef class Checkout:
    """A checkout under way.  Between two steps it owns the slot in hand; if it is dropped, it gives that back."""
    cdef Core core
    cdef Slot *slot              # in hand: idle before, or room for a connection; NULL: none
    cdef int64_t began, deadline
    cdef uint64_t born_in        # the process
    cdef bint instant            # timeout=0
    cdef readonly object loop    # only connections opened in this loop will do; None: any
    cdef object running          # the loop in which it is under way, once somebody has asked
    # in line
    cdef WaiterHandle handle     # None: not in line
    cdef object task             # weak reference to the task that stood in line
    cdef tuple noted             # what deadlock_note_waiting wrote down
    cdef bint front              # it had been served: to the head of the line
    cdef bint just_begun         # `began` is now, as good as
    cdef bint waited             # how long it waited is recorded
    # the connection in hand
    cdef bint looked             # `answer` is about it
    cdef int answer              # KEEP, ASK, or why it cannot be used
    cdef int64_t asked, limit    # when its check under way began, and how long that may take; 0: none
    cdef uint32_t asked_of       # the server that is asked
    cdef int64_t silent          # since when that answers nothing; 0: it does
    cdef bint ping               # ask the driver's ping instead of its check
    cdef bint rejected           # the last one could not be used
    cdef bint late               # its check took all the time there was
    # what was detached from its slot, to be closed
    cdef list detached           # (connection, server); None: nothing
    cdef int why
    # connecting
    cdef readonly bint for_others  # what it opens may be for the first in line, so the permit comes back last
    cdef bint permit             # ... and is still out
    cdef readonly bint behind    # it goes on with a connect whose caller's time was over
    cdef bint lent               # a worker has it, for a task

    def step(self):
        """What has to be done next: STEP_WAIT … STEP_READY.  PoolClosed, or NoConnectionsAvailable after a check."""
        return checkout_step(self)

    def begin(self):
        """Tell that a checkout begins."""
        checkout_begin(self)

    def failed(self, error):
        """The checkout ends with `error`: the slot is free.  Returns what is to be closed, as `closing` does.

        Not where the garbage collector ends the coroutine: the finalizer leaves the connection for the next to replace.
        """
        if not isinstance(error, GeneratorExit):
            checkout_fail(self)
        checkout_tell_failed(self, error)
        return self.closing()

    def dropped(self):
        """It goes no further: the slot is free.  Returns what is to be closed, as `closing` does."""
        checkout_fail(self)
        return self.closing()

    def closing(self):
        """Take what is to be closed now: [(connection, server, reason)]."""
        taken, self.detached = self.detached, None
        return [(c, server, REASONS[self.why]) for c, server in taken or ()]

    @property
    def entry(self):
        """The entry of the slot in hand."""
        return entry_of_slot(self.core, self.slot)

    @property
    def connection(self):
        """The connection in hand."""
        return (<Entry>self.slot.entry).connection

    @property
    def slot_in_hand(self):
        """Has it a slot?"""
        return self.slot != NULL

    @property
    def seconds_left(self):
        """What a connect may take.  None: no limit; a checkout with timeout=0 takes room, and does not limit a connect.
        """
        return None if self.instant else checkout_seconds_left(self.deadline)

    @property
    def over(self):
        """Is the deadline past?"""
        return self.deadline != INT64_MAX and clock_ns() >= self.deadline

    # ---- check

    def check_begins(self):
        """Seconds that the check may take, which is called now; None: no limit."""
        checkout_check_begins(self)
        return None if self.limit == INT64_MAX else self.limit / 1e9

    def checked(self, bint well):
        """The check is over."""
        checkout_checked(self, well)

    def check_cut_off(self):
        """The check had no answer in its time.  If the slot was lent to whoever checks, it stays there."""
        checkout_check_cut_off(self)

    # ---- connect

    def take_room(self):
        """Take room for a new connection, for whoever wants one, with a permit to open it; False: there is none."""
        return connect_take_room(self)

    def connected(self, c, server, double seconds):
        """The connection that was opened takes its place; PoolClosed: the pool was closed meanwhile."""
        connect_done(self, c, server, <int64_t>(seconds * 1e9))

    def connect_failed(self, error):
        """No connection came, and the slot is free.  Raises NoConnectionsAvailable if the time was over, or `error`."""
        connect_failed(self, error)

    def open(self):
        """Open the connection in this thread, which may block."""
        connect_slot(self)

    def open_for_others(self):
        """Open the connection in this thread, which may block, and leave it to whoever wants one."""
        if self.slot != NULL:  # else it was dropped, by whoever was interrupted after having this called
            connect_for_others(self, None)

    def put(self, list opened=None):
        """Leave the connection in hand to whoever wants one; write down in `opened` which it is, for `_close_unused`.

        A clear() meanwhile detaches it: ask `closing`.
        """
        connect_put(self, opened)

    def lend(self):
        """A checkout for whoever connects or checks for this one: it owns the slot from now on."""
        cdef Checkout other = checkout_new(self.core, -1, self.loop)
        other.began, other.deadline, other.instant = self.began, self.deadline, self.instant
        other.asked, other.limit, other.asked_of = self.asked, self.limit, self.asked_of
        other.slot, other.looked, other.answer = self.slot, self.looked, self.answer
        other.for_others = other.lent = True
        self.slot = NULL
        return other

    def accept(self, Checkout other not None):
        """Own the slot again that was lent, if the other has one still, and what was found out about it."""
        self.slot = other.slot
        self.looked, self.answer, self.silent = other.looked, other.answer, other.silent
        other.slot = NULL
        checkout_return_permit(other)

    def drop_homeless(self):
        """Forget the idle connections whose loop is closed: nobody can use or close them any more."""
        checkout_drop_homeless(self)

    # ---- in line: `await checkout` stands in line until there is a slot in hand

    def __await__(self):
        return self

    def __next__(self):
        return await_step(self)

    def send(self, value):
        """As a coroutine's."""
        return next(self)

    def throw(self, kind, value=None, trace=None):
        """Something is raised in the task that waits: what the line still gives goes to the next in it."""
        line_give_up(self)
        raise task_thrown(kind, value, trace)

    def close(self):
        """The task is ended without another word."""
        line_give_up(self)

    def __dealloc__(self):
        if self.core is None or self.born_in != generation():
            return
        line_give_up(self)
        if self.slot != NULL:
            checkout_abandon(self.core, self.slot)
            checkout_return_permit(self)


cdef Checkout checkout_new(Core core, int64_t limit, object loop):
    """limit: ns; -1 for none."""
    cdef Checkout self = Checkout.__new__(Checkout)
    self.core = core
    self.loop = loop
    self.born_in = generation()
    self.began = clock_ns()
    self.deadline = INT64_MAX if limit < 0 else self.began + limit
    self.instant = limit == 0
    return self


cdef inline void checkout_hold(Checkout self, Slot *slot) noexcept:
    """This slot is in hand, and nothing is known of its connection."""
    self.slot = slot
    self.looked = False


cdef inline bint checkout_connecting(Checkout self) noexcept:
    return slot_state(u64_load(&self.slot.word)) == CONNECTING


cdef inline bint checkout_foreign(Checkout self) noexcept:
    """Was the connection in hand opened in another loop?"""
    return self.loop is not None and (<Entry>self.slot.entry).loop is not self.loop
