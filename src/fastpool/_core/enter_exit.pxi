# How a `with` or `async with` statement reaches a lease without making bound methods.
#
# `with lease:` looks up `__enter__` and `__exit__` and binds each to the lease: two objects made and thrown away, a
# quarter of the cost of an empty compiled context manager.  Here both names give the lease itself, and the number of
# arguments says which of the two is called: none to enter, three to exit, one as a decorator.


@cython.final
@cython.internal
cdef class EnterExit:
    """The descriptor of an enter or exit method: on a lease it gives the lease, on the class the function."""
    cdef object function
    cdef bint enters

    def __get__(self, lease, owner):
        if type(lease) is not Lease and type(lease) is not AsyncLease:
            return self.function
        if self.enters:
            (<AnyLease>lease).asked = True
        return lease


cdef object enter_exit_block(Lease self, PyObject **args, size_t given, PyObject *names):
    cdef Py_ssize_t count = PyVectorcall_NARGS(given)
    if names == NULL:
        if count == 0 and self.asked:
            return lease_enter(self)
        if count == 3:
            return lease_exit(self, <object>args[1], False)
        if count == 1:
            return lease_decorate(self, <object>args[0])
    raise TypeError("a lease is a context manager, and as a decorator is called with one function")


cdef object enter_exit_task_block(AsyncLease self, PyObject **args, size_t given, PyObject *names):
    cdef Py_ssize_t count = PyVectorcall_NARGS(given)
    if names == NULL:
        if count == 0 and self.asked:
            return task_aenter(self)
        if count == 3:
            return task_aexit(self, <object>args[1])
        if count == 1:
            return lease_decorate(self, <object>args[0])
    raise TypeError("a lease is a context manager (async with), and as a decorator is called with one function")


cdef int enter_exit_hang(cls, str way_in, str way_out, Py_ssize_t called) except -1:
    cdef EnterExit descriptor
    fp_call_through(cls, called)
    for name in (way_in, way_out):
        descriptor = EnterExit.__new__(EnterExit)
        descriptor.function = cls.__dict__[name]
        descriptor.enters = name == way_in
        fp_name_in_class(cls, name, descriptor)
    return 0


cdef int enter_exit_hang_all() except -1:
    cdef Lease one = Lease.__new__(Lease)
    cdef Py_ssize_t called = <char *>&one.called - <char *><PyObject *>one
    enter_exit_hang(Lease, "__enter__", "__exit__", called)
    return enter_exit_hang(AsyncLease, "__aenter__", "__aexit__", called)


enter_exit_hang_all()
