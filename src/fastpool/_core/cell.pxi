# What many threads change, and signal handlers and finalizers as well, without a lock.
#
# A lock held by Python code is wanted again by a signal handler or a finalizer that strikes inside of it, and since
# CPython 3.14 a handler that raises can strike between the lock's `__enter__` and the block: it then stays taken.  So
# the bookkeeping in Python is made of immutable values, each replaced as a whole by whoever saw the current one.  No
# handler runs within compiled code that calls no Python, and nothing is freed before the new value is in its place.


@cython.final
cdef class Cell:
    """A place for one immutable value, which is replaced as a whole.

    ``while not cell.replace(old := cell.value, changed(old)): pass``
    """
    cdef object held

    def __cinit__(self, value):
        self.held = value

    @property
    def value(self):
        """The value of now."""
        with cython.critical_section(self):
            return self.held

    def replace(self, expected, value):
        """Put ``value`` in the place of ``expected``, if that very object is still there; say whether it was."""
        cdef object before
        with cython.critical_section(self):
            before = self.held  # lives until this returns: its finalizers find the new value
            if before is not expected:
                return False
            self.held = value
        return True


@cython.final
@cython.internal
cdef class Place:
    """Of one object in a register. The callback of its weak reference; called, it leaves the register."""
    cdef Register register
    cdef object name

    def __call__(self, reference):
        cdef dict row
        with cython.critical_section(self.register):
            row = self.register.rows.get(self.name)
            if row is not None:
                row.pop(self, None)
                if not row:
                    del self.register.rows[self.name]


@cython.final
cdef class Register:
    """Objects by name, held weakly, in the order in which they came. What it costs does not depend on how many."""
    cdef dict rows      # name -> {Place: weak reference}

    def __cinit__(self):
        self.rows = {}

    def add(self, str name not None, one):
        """Enter ``one``; it leaves by itself when it ends."""
        cdef Place place = Place.__new__(Place)
        cdef dict row, fresh = {}
        place.register = self
        place.name = name
        reference = PyWeakref_NewRef(one, place)
        # From here on nothing is made that could start the garbage collector, and with it somebody's finalizer.
        with cython.critical_section(self):
            row = self.rows.get(name)
            if row is None:
                self.rows[name] = row = fresh
            row[place] = reference

    def drop(self, str name not None, list ones not None):
        """Have them leave now; where nothing ends (without the GIL, a pool) they would stay for ever."""
        cdef set numbers = {id(one) for one in ones}
        cdef Place place
        with cython.critical_section(self):
            row = self.rows.get(name)
            entries = [] if row is None else list((<dict>row).items())
        for place, reference in entries:
            if id(reference()) in numbers:
                place(reference)

    def named(self, str name not None):
        """Those with this name that still exist."""
        with cython.critical_section(self):
            row = self.rows.get(name)
            references = [] if row is None else list((<dict>row).values())
        return register_alive(references)

    def everyone(self):
        """All that still exist."""
        with cython.critical_section(self):
            references = [reference for row in list(self.rows.values()) for reference in list((<dict>row).values())]
        return register_alive(references)

    def __len__(self):
        """How many names are in use."""
        return len(self.rows)


cdef list register_alive(list references):
    cdef list found = []
    for reference in references:
        one = reference()
        if one is not None:
            found.append(one)
    return found


@cython.final
cdef class Section:
    """Runs functions one at a time, in whatever thread; one that runs may run another.

    The lock is taken and given back in compiled code. So a signal handler that raises ends the function, and leaves
    the lock free: with ``with lock:`` it can strike before the block has begun, and the lock stays taken (3.14).
    """
    cdef object acquire, release

    def __cinit__(self):
        import threading

        lock = threading.RLock()
        self.acquire = lock.acquire
        self.release = lock.release

    def run(self, function, *arguments):
        """Give what ``function`` gives."""
        self.acquire()
        try:
            return function(*arguments)
        finally:
            self.release()
