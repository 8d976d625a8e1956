# The rows that a scan fetched: checked as a whole when they arrive, and made one by one when they are asked for. So few
# objects exist at a time, and the collector is not called because of them.

@cython.final
@cython.no_gc_clear
cdef class Rows:
    """An iterator over the rows of one reply to scannerGetList, as happybase gives them.

    ``next`` raises LeaseError after the lease under which they were fetched, if there was one.
    """
    cdef object fence        # called with the epoch of that lease before each row; None: there was none
    cdef object epoch
    cdef bytearray buffer
    cdef size_t at, end      # where the next row begins, and where the reply ends
    cdef size_t left
    cdef int how
    cdef bint compact
    cdef Reading reading
    cdef Shapes shapes
    cdef Names names
    cdef list made           # rows that thriftpy2 read; None: they are in the buffer

    def __iter__(self):
        return self

    def __next__(self):
        cdef WireCursor c
        cdef const unsigned char *p
        cdef object row
        if self.fence is not None:
            self.fence(self.epoch)
        if self.left == 0:
            raise StopIteration
        if self.made is not None:
            row = self.made[len(self.made) - self.left]
            self.left -= 1
            return row
        p = <const unsigned char *>PyByteArray_AS_STRING(self.buffer)
        c.p = p + self.at
        c.end = p + self.end
        c.why = 0
        c.compact = self.compact
        row = decode_row(&c, self.reading, self.how, self.shapes, self.names)
        if row is None:
            self.left = 0
            raise SystemError("fastpool: a row does not fit that was checked before; please report it")
        self.at = <size_t>(c.p - p)
        self.left -= 1
        return row

    def __length_hint__(self):
        return self.left

    def keep(self, size_t most):
        """Drop what is beyond ``most`` rows."""
        if self.left > most:
            if self.made is not None:
                del self.made[len(self.made) - self.left + most:]
            self.left = most


cdef Rows rows_of(bytearray buffer, size_t at, size_t end, bint compact, size_t count, int how, Shapes shapes):
    """The rows of a checked reply whose list begins ``at``, in a buffer that is theirs from now on."""
    cdef Rows rows = Rows.__new__(Rows)
    cdef const unsigned char *p = <const unsigned char *>PyByteArray_AS_STRING(buffer)
    cdef WireCursor c
    cdef size_t ignored
    c.p = p + at
    c.end = p + end
    c.why = 0
    c.compact = compact
    if wire_field(&c, WIRE_LIST, 0, 0) < 0 or wire_list(&c, WIRE_STRUCT, &ignored) < 0:
        raise SystemError("fastpool: a list does not fit that was checked before; please report it")
    rows.buffer = buffer
    rows.at = <size_t>(c.p - p)
    rows.end = end
    rows.left = count
    rows.how = how
    rows.compact = compact
    rows.reading = Reading()
    rows.shapes = shapes
    rows.names = Names()
    return rows


def rows_made(list rows not None):
    """An iterator of the same kind over rows that thriftpy2 read."""
    cdef Rows made = Rows.__new__(Rows)
    made.made = rows
    made.left = <size_t>len(rows)
    return made
