# How a `with` statement reaches a lease without making bound methods.
#
# `with lease:` looks up `__enter__` and `__exit__` and binds each to the lease: two objects made and thrown away, a
# quarter of all that an empty compiled context manager costs.  Here the lease itself is what each name gives, and the
# number of arguments says which of the two is called: none to enter, three to end, one as a decorator.


@cython.final
@cython.internal
cdef class Door:
    """``__enter__`` or ``__exit__`` in the class: on a lease it is the lease, on the class the function."""
    cdef object function
    cdef bint enters

    def __get__(self, lease, owner):
        if type(lease) is not Lease:
            return self.function
        if self.enters:
            (<Lease>lease).asked = True
        return lease


cdef object lease_called(Lease self, PyObject **args, size_t given, PyObject *names):
    cdef Py_ssize_t count = PyVectorcall_NARGS(given)
    if names == NULL:
        if count == 0 and self.asked:
            return lease_begin(self)
        if count == 3:
            return lease_over(self, <object>args[1])
        if count == 1:
            return lease_decorate(self, <object>args[0])
    raise TypeError("a lease is a context manager, and as a decorator is called with one function")


cdef int hang_doors() except -1:
    cdef Lease one = Lease.__new__(Lease)
    cdef Door door
    fp_call_through(Lease, <char *>&one.called - <char *><PyObject *>one)
    for name in ("__enter__", "__exit__"):
        door = Door.__new__(Door)
        door.function = Lease.__dict__[name]
        door.enters = name == "__enter__"
        fp_name_in_class(Lease, name, door)
    return 0


hang_doors()
