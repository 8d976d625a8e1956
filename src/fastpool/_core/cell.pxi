# State that threads, signal handlers and finalizers change without a lock.
#
# A signal handler or finalizer that runs while Python code holds a lock may need the same lock; and since CPython 3.14
# a handler that raises can run between the lock's `__enter__` and the block, which leaves the lock taken.  So the
# bookkeeping in Python consists of immutable values, each replaced as a whole by compare-and-swap.  No handler runs
# within compiled code that calls no Python, and nothing is freed before the new value is in place.


@cython.final
cdef class Cell:
    """Holds one immutable value, which is replaced as a whole.

    ``while not cell.replace(old := cell.value, changed(old)): pass``
    """
    cdef object held

    def __cinit__(self, value):
        self.held = value

    @property
    def value(self):
        """The current value."""
        with cython.critical_section(self):
            return self.held

    def replace(self, expected, value):
        """Replace ``expected`` by ``value`` if that very object is still the current one; whether it was."""
        cdef object before
        with cython.critical_section(self):
            before = self.held  # lives until this returns, so its finalizers see the new value
            if before is not expected:
                return False
            self.held = value
        return True


@cython.final
@cython.internal
cdef class Place:
    """The place of one object in a register, and the callback of its weak reference: a call removes it."""
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
    """Weak references to objects by name, in order of arrival.  A change costs the same for any number."""
    cdef dict rows      # name -> {Place: weak reference}

    def __cinit__(self):
        self.rows = {}

    def add(self, str name not None, one):
        """Add ``one``, which is removed when it is destroyed."""
        cdef Place place = Place.__new__(Place)
        cdef dict row, fresh = {}
        place.register = self
        place.name = name
        reference = PyWeakref_NewRef(one, place)
        # From here on no object is made that could start the garbage collector, and with it a finalizer.
        with cython.critical_section(self):
            row = self.rows.get(name)
            if row is None:
                self.rows[name] = row = fresh
            row[place] = reference

    def drop(self, str name not None, list ones not None):
        """Remove objects now: those that are never destroyed (pools on free-threaded builds) would stay for ever."""
        cdef set numbers = {id(one) for one in ones}
        cdef Place place
        with cython.critical_section(self):
            row = self.rows.get(name)
            entries = [] if row is None else list((<dict>row).items())
        for place, reference in entries:
            if id(reference()) in numbers:
                place(reference)

    def named(self, str name not None):
        """The objects of this name that still exist."""
        with cython.critical_section(self):
            row = self.rows.get(name)
            references = [] if row is None else list((<dict>row).values())
        return register_alive(references)

    def everyone(self):
        """All objects that still exist."""
        with cython.critical_section(self):
            references = [reference for row in list(self.rows.values()) for reference in list((<dict>row).values())]
        return register_alive(references)

    def __len__(self):
        """The number of names in use."""
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
    """Runs functions one at a time across all threads; a running function may run another.

    The lock is acquired and released in compiled code, so a signal handler that raises ends the function and leaves
    the lock free.  With ``with lock:`` it can raise before the block has begun, and the lock stays taken (3.14).
    """
    cdef object acquire, release

    def __cinit__(self):
        import threading

        lock = threading.RLock()
        self.acquire = lock.acquire
        self.release = lock.release

    def run(self, function, *arguments):
        """Call ``function`` and return its result."""
        self.acquire()
        try:
            return function(*arguments)
        finally:
            self.release()
