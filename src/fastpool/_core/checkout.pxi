# One checkout: its next step, decided in one place for threads, greenlets, native code and tasks.
#
# `checkout_step` never blocks and calls neither the driver's connect, check nor close.  The steps are performed by
# `checkout_run`, by calling, or by fastpool._async.checkout, by awaiting; docs/core.md has a diagram.

@cython.final
@cython.freelist(16)
@cython.no_gc_clear
cdef class Checkout:
    """A checkout under way.  Between two steps it owns the slot in hand; a checkout that is dropped gives it back."""
    cdef Core core
    cdef Slot *slot              # in hand: with a connection, or with room for one; NULL: none
    cdef int64_t began, deadline
    cdef uint64_t born_in        # the process
    cdef bint instant            # timeout=0
    cdef readonly object loop    # only connections opened in this loop will do; None: any
    cdef Selection selection     # only connections that it accepts will do; None: any
    cdef bint suits              # the connection in hand is known to be one of them
    cdef object running          # the loop in which it runs, once looked up
    # in line
    cdef WaiterHandle handle     # None: not in line
    cdef object task             # weak reference to the task that waited in line
    cdef tuple noted             # the result of deadlock_note_waiting
    cdef bint front              # it was served before: goes to the head of the line
    cdef bint just_begun         # `began` is a moment ago: no need to read the clock
    cdef bint waited             # its waiting time is recorded
    # the connection in hand
    cdef bint looked             # `answer` is about this connection
    cdef int answer              # KEEP, ASK, or why it cannot be used
    cdef int64_t asked, limit    # when its running check began, and how long that may take; 0: none
    cdef uint32_t asked_of       # the server whose connection is checked
    cdef int64_t silent          # since when that server has not answered; 0: it answers
    cdef bint ping               # call the driver's ping instead of its check
    cdef bint rejected           # the previous connection could not be used
    cdef bint late               # its check used up the time of the checkout
    # connections detached from their slots, to be closed
    cdef list detached           # (connection, server); None: none
    cdef int why
    cdef bint kept               # the shared permit of the only one stays with the slot in hand
    cdef bint awaits             # its steps are performed by awaiting, and closes are not waited for
    # connecting
    cdef readonly bint for_others  # its connection may go to the first in line: the permit is returned last
    cdef bint permit             # that permit is still out
    cdef readonly bint behind    # it goes on with a connect whose caller timed out
    cdef bint lent               # a worker thread runs it for a task

    def step(self):
        """The next step: STEP_WAIT … STEP_READY.  Raises PoolClosed, or NoConnectionsAvailable after a check."""
        self.awaits = True
        return checkout_step(self)

    def begin(self):
        """Emit the event that a checkout begins."""
        checkout_begin(self)

    def failed(self, error):
        """End the checkout with `error` and free its slot.  Returns the connections to close, as `closing` does.

        If the garbage collector ends the coroutine (GeneratorExit), the finalizer passes the slot on instead.
        """
        if not isinstance(error, GeneratorExit):
            checkout_fail(self)
        checkout_tell_failed(self, error)
        return self.closing()

    def dropped(self):
        """End the checkout and free its slot.  Returns the connections to close, as `closing` does."""
        checkout_fail(self)
        return self.closing()

    def closing(self):
        """Take the connections to close now: [(connection, server, reason)]."""
        taken, self.detached = self.detached, None
        return retire_rows(taken, self.why)

    @property
    def connection(self):
        """The connection in hand."""
        return (<Entry>self.slot.entry).connection

    @property
    def slot_in_hand(self):
        """Whether it has a slot."""
        return self.slot != NULL

    @property
    def seconds_left(self):
        """The seconds that a connect may take.  None: no limit; also for timeout=0, which limits the wait only."""
        return None if self.instant else checkout_seconds_left(self.deadline)

    @property
    def over(self):
        """Whether the deadline is past."""
        return self.deadline != INT64_MAX and clock_ns() >= self.deadline

    # ---- check

    def check_begins(self):
        """Record that the check begins; the seconds that it may take, None: no limit."""
        checkout_check_begins(self)
        return None if self.limit == INT64_MAX else self.limit / 1e9

    def ask(self):
        """Call the driver's check in this thread, which may block; False also if it raises an Exception."""
        return checkout_ask(self)

    def checked(self, bint well):
        """Record the result of the check."""
        checkout_checked(self, well)

    def check_cut_off(self):
        """Record that the check had no answer in its time.  A slot lent to the thread that checks stays there."""
        checkout_check_cut_off(self)

    # ---- connect

    def take_room(self):
        """Take room for a new connection that any caller may get, with a permit to open it; False: there is none."""
        return connect_take_room(self)

    def connect_begins(self):
        """The entry for the driver, which says what this checkout asks for, until the connect has ended."""
        return connect_begins(self)

    def connected(self, c, server, double seconds):
        """Put the opened connection in its slot.  PoolClosed: the pool was closed meanwhile."""
        connect_done(self, c, server, <int64_t>(seconds * 1e9))

    def connect_failed(self, error):
        """Free the slot after a failed connect.  Raises NoConnectionsAvailable if the time was over, else `error`."""
        connect_failed(self, error)

    def open(self):
        """Open the connection in this thread, which may block."""
        connect_slot(self)

    def open_for_others(self):
        """Open the connection in this thread, which may block, and leave it to any caller."""
        if self.slot != NULL:  # else it was dropped: the task that started this was interrupted
            connect_for_others(self, None)

    def put(self, list opened=None):
        """Leave the connection in hand to any caller; append it to `opened`, for `_close_unused`.

        After a clear() it is detached instead: call `closing`.
        """
        connect_put(self, opened)

    def lend(self):
        """A checkout for the worker that connects or checks for this one; it owns the slot from now on."""
        cdef Checkout other = checkout_new(self.core, -1, self.loop)
        other.began, other.deadline, other.instant = self.began, self.deadline, self.instant
        other.asked, other.limit, other.asked_of = self.asked, self.limit, self.asked_of
        other.slot, other.looked, other.answer = self.slot, self.looked, self.answer
        other.selection, other.suits = self.selection, self.suits
        other.for_others = other.lent = True
        self.slot = NULL
        return other

    def accept(self, Checkout other not None):
        """Take back the lent slot, if the other still has it, and the findings about its connection."""
        self.slot = other.slot
        self.looked, self.answer, self.silent = other.looked, other.answer, other.silent
        self.suits = other.suits
        other.slot = NULL
        checkout_return_permit(other)

    def drop_homeless(self):
        """Remove the idle connections whose loop is closed: they can no longer be used."""
        checkout_drop_homeless(self)

    # ---- in line: `await checkout` waits until there is a slot in hand

    def __await__(self):
        return self

    def __next__(self):
        return await_step(self)

    def send(self, value):
        """As a coroutine's `send`."""
        return next(self)

    def throw(self, kind, value=None, trace=None):
        """Leave the line and raise in the waiting task; a slot handed over meanwhile goes to the next in line."""
        line_end_wait(self)
        raise task_thrown(kind, value, trace)

    def close(self):
        """Leave the line: the task is ended."""
        line_end_wait(self)

    def __dealloc__(self):
        if self.core is None or self.born_in != generation():
            return
        line_end_wait(self)
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
    """Take a slot in hand; nothing is known of its connection yet."""
    self.slot = slot
    self.looked = self.suits = False


cdef inline bint checkout_connecting(Checkout self) noexcept:
    return slot_state(u64_load(&self.slot.word)) == CONNECTING


cdef bint checkout_suits(Checkout self, Slot *slot) except -1:
    """Whether a connection was opened in the caller's loop, and is one that the caller asks for."""
    cdef Entry entry = <Entry>slot.entry
    if self.loop is not None and entry.loop is not self.loop:
        return False
    return self.selection is None or selection_suits(self.selection, entry)
