# The messages of one client: what it sends, its one input buffer, and the reply that it awaits. No I/O.

cdef enum:
    USUAL_BUFFER = 16384          # bytes
    LARGEST_KEPT_BUFFER = 1 << 20
    SMALL_REPLIES = 8             # so many small replies in a row let a large buffer shrink
    LARGEST_FRAME = 1 << 30
    LONGEST_HEADER = 128

cdef enum:
    REPLY_MORE = 0    # it is not all there
    REPLY_DONE = 1
    REPLY_OTHER = 2   # it is for thriftpy2 to read, from its first byte, out of take()
    REPLY_WAIT = 3    # nothing has arrived

MORE = REPLY_MORE
DONE = REPLY_DONE
OTHER = REPLY_OTHER
WAIT = REPLY_WAIT


class _Refused:
    """The result of a call that was not begun: thriftpy2 has to make it."""

    def __repr__(self):
        return "REFUSED"


REFUSED = _Refused()


@cython.final
@cython.no_gc_clear
cdef class Channel:
    """One client's messages; used by one call at a time, which the busy mark of its entry makes sure.

    ``client`` has the attributes of BaseClient, and is not kept alive, so that a client that is dropped closes its
    socket at once, not when the garbage collector runs; ``check_holder`` is called before each call, if it is not None.
    ``direct``: messages go as they are through the ``sock`` of the client's socket, not through the socket's methods.
    """
    cdef object client_ref, entry, check_holder
    cdef readonly dict operations    # method name to Operation
    cdef bint compact, framed, direct
    cdef Out out
    cdef Names names
    cdef Operation op
    cdef int how
    cdef unsigned char expected[LONGEST_HEADER]   # the header of the reply that is awaited
    cdef size_t expected_size
    cdef bytearray buffer            # what arrived is in it from at to end
    cdef size_t at, end
    cdef int small_replies
    cdef Reading reading
    cdef WireWalk walk               # over rows that are to be made one by one
    cdef readonly object value       # of the reply

    def __cinit__(self, client, entry, dict operations, bint compact, bint framed, bint direct, check_holder=None):
        self.client_ref = PyWeakref_NewRef(client, None)
        self.entry = entry
        self.check_holder = check_holder
        self.operations = operations
        self.compact = self.out.compact = compact
        self.framed = framed
        self.direct = direct
        self.names = Names()
        self.reading = Reading()
        self.buffer = bytearray()

    def __dealloc__(self):
        out_free(&self.out)

    cdef inline object client(self):
        """The client; None if it was dropped, which none is that has a call under way."""
        return self.client_ref()

    # ---- begin

    cdef object begin(self, Prepared call):
        """The message to send, when the call has begun; None: thriftpy2 must make it.

        LeaseError if the caller may not call now.
        """
        cdef object client = self.client()
        cdef object message
        cdef uint32_t seqid
        if refuses() or client._socket.sock is None or client._retired or self.entry.renew:
            return None
        if self.check_holder is not None:
            self.check_holder()
        self.entry.begin_call()
        try:
            seqid = (<uint32_t>client._seqid + 1) & 0x7fffffff
            message = self.encode(call, seqid)
        except BaseException:
            self.entry.end_call()
            raise
        if message is None:
            self.entry.end_call()
            return None
        self.op = call.op
        self.how = call.how
        self.reading.begin()
        memset(&self.walk, 0, sizeof(self.walk))
        self.value = None
        client._call = self
        client._seqid = seqid
        if call.used is not None:
            self.reuse(call.used)
        return message

    cdef object encode(self, Prepared call, uint32_t seqid):
        cdef Out *o = &self.out
        cdef size_t start = 4 if self.framed else 0
        cdef bint fits
        o.n = 0
        o.failed = 0
        if self.framed:
            out_u32(o, 0)
        out_message(o, 1, PyBytes_AS_STRING(call.op.name), <size_t>PyBytes_GET_SIZE(call.op.name), seqid)
        if o.failed:
            raise MemoryError("no memory for the message")
        if o.n - start > LONGEST_HEADER:
            return None
        self.expected_size = o.n - start
        memcpy(self.expected, o.b + start, self.expected_size)
        if self.compact:
            self.expected[1] = 1 | 2 << 5
        else:
            self.expected[3] = 2
        fits = encode_arguments(o, call.op, call.args) if call.rows is None else encode_batch(o, call)
        if o.failed:
            out_free(o)
            raise MemoryError("no memory for the message")
        if not fits or o.n - start > 0x7fffffff:
            return None
        if self.framed:
            out_u32_at(o.b, <uint32_t>(o.n - 4))
        message = PyBytes_FromStringAndSize(<const char *>o.b, <Py_ssize_t>o.n)
        if o.n > LARGEST_KEPT_BUFFER:
            out_free(o)
        return message

    # ---- receive

    cdef object room(self):
        """A buffer for what arrives next: the room behind what is there, at least a quarter of the whole."""
        cdef size_t size = <size_t>len(self.buffer)
        cdef char *data
        if self.at:
            data = PyByteArray_AS_STRING(self.buffer)
            memmove(data, data + self.at, self.end - self.at)
            self.end -= self.at
            self.at = 0
        if size - self.end < size // 4 or size == 0:
            self.grow(size * 2 if size else USUAL_BUFFER)
        return self.buffer if self.end == 0 else memoryview(self.buffer)[self.end:]

    cdef int grow(self, size_t size) except -1:
        cdef bytearray larger = PyByteArray_FromStringAndSize(NULL, <Py_ssize_t>size)
        memcpy(PyByteArray_AS_STRING(larger), PyByteArray_AS_STRING(self.buffer), self.end)
        self.buffer = larger
        return 0

    cdef int arrived(self, size_t size) except -1:
        """Note that so many bytes were put into room(); what the reply is now."""
        self.end += size
        return self.look()

    def feed(self, bytes data not None):
        """Take what arrived: MORE, DONE (then ``value`` is the reply's), or OTHER."""
        cdef size_t size = <size_t>len(data)
        cdef size_t needed = self.end + size
        cdef size_t room = <size_t>len(self.buffer)
        if needed > room:
            room = max(room, <size_t>USUAL_BUFFER)
            while room < needed:
                room *= 2
            self.grow(room)
        memcpy(PyByteArray_AS_STRING(self.buffer) + self.end, PyBytes_AS_STRING(data), size)
        return self.arrived(size)

    cdef int look(self) except -1:
        """Whether the reply is there and what it is; the whole of it is consumed if it is done."""
        cdef const unsigned char *p = <const unsigned char *>PyByteArray_AS_STRING(self.buffer) + self.at
        cdef size_t end = self.end - self.at, start = 0, length
        cdef WireCursor c
        cdef int found
        if self.framed:
            if end < 4:
                return REPLY_MORE
            length = wire_u32(p)
            if length < self.expected_size or length > LARGEST_FRAME:
                return REPLY_OTHER
            if memcmp(p + 4, self.expected, min(self.expected_size, end - 4)) != 0:
                return REPLY_OTHER
            if end - 4 < length:
                return REPLY_MORE
            start = 4
            end = 4 + length
        else:
            if memcmp(p, self.expected, min(self.expected_size, end)) != 0:
                return REPLY_OTHER
            if end < self.expected_size:
                return REPLY_MORE
        if refuses():
            return REPLY_OTHER
        c.p = p + start + self.expected_size
        c.end = p + end
        c.why = 0
        c.compact = self.compact
        if self.how & LAZY:
            found = wire_walk_rows(&c, &self.walk, -1 if self.how & ANY_ORDER else self.how & ORDERED != 0)
        else:
            found = decode_result(&c, self.reading, self.op.result, self.how, self.op.shapes, self.names)
        if found < 0 and c.why == WIRE_MORE and not self.framed:
            return REPLY_MORE  # a frame is all there: if it wants more, it is another reply
        if found < 0 or (self.framed and c.p != c.end):
            self.reading.begin()
            return REPLY_OTHER
        if self.how & LAZY:
            self.value = self.hand_over(start + self.expected_size, <size_t>(c.p - p))
            return REPLY_DONE
        self.value = self.reading.value
        self.reading.begin()
        self.consumed(<size_t>(c.p - p))
        return REPLY_DONE

    cdef Rows hand_over(self, size_t body, size_t size):
        """The rows in a message of that size, whose body begins at ``body``, in a buffer of their own."""
        cdef bytearray buffer = self.buffer
        cdef size_t at = self.at
        if self.at + size == self.end and size > USUAL_BUFFER // 4:
            self.buffer = bytearray()
            self.at = self.end = 0
        else:
            buffer = PyByteArray_FromStringAndSize(PyByteArray_AS_STRING(buffer) + at, <Py_ssize_t>size)
            at = 0
            self.consumed(size)
        return rows_of(buffer, at + body, at + size, self.compact, self.walk.count, self.how, self.op.shapes)

    cdef int reuse(self, Rows rows) except -1:
        """Take the buffer of rows that have all been made, during a call whose reply has not begun to arrive."""
        cdef bytearray buffer = rows.buffer
        if rows.left == 0 and buffer is not None and len(self.buffer) < len(buffer) <= LARGEST_KEPT_BUFFER:
            rows.buffer = None
            if self.end == 0:
                self.buffer = buffer
        return 0

    cdef int consumed(self, size_t size) except -1:
        """Drop a message of that size, and a buffer that is much larger than messages are."""
        cdef size_t room = <size_t>len(self.buffer)
        self.at += size
        if self.at != self.end:
            return 0
        self.at = self.end = 0
        if room <= USUAL_BUFFER:
            return 0
        self.small_replies = self.small_replies + 1 if size < room // 4 else 0
        if room > LARGEST_KEPT_BUFFER or self.small_replies >= SMALL_REPLIES:
            self.buffer = bytearray()
            self.small_replies = 0
        return 0

    def take(self, size_t size):
        """For thriftpy2: the next bytes that are there, at most so many; b"" if none are."""
        cdef size_t given = min(size, self.end - self.at)
        data = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(self.buffer) + self.at, <Py_ssize_t>given)
        self.at += given
        if self.at == self.end:
            self.at = self.end = 0
            if len(self.buffer) > LARGEST_KEPT_BUFFER:
                self.buffer = bytearray()
        return data

    @property
    def pending(self):
        """How many bytes have arrived that nobody has read."""
        return self.end - self.at

    @property
    def buffer_size(self):
        """How large the input buffer is, in bytes."""
        return len(self.buffer)

    # ---- end

    cdef int finish(self, tuple args) except -1:
        """End a call whose whole reply was read."""
        cdef object client = self.client()
        if self.op.changes_scanners:
            client.note_scanner(self.op.method, args, self.value)
            if self.at == self.end and len(self.buffer) > USUAL_BUFFER:
                self.buffer = bytearray()
        if self.at != self.end:
            # The reply is good, but something follows it that belongs to no call.
            client._break_off(True)
            self.at = self.end = 0
        if client._retired:
            client.refuse_retired(self.op.method.name)
        client._call = None
        self.entry.end_call()
        return 0

    # ---- for tasks, whose client sends and receives between these

    def start(self, Prepared call not None):
        """Begin a call; the message to send, or None if thriftpy2 must make the call."""
        return self.begin(call)

    def receive_now(self, sock):
        """Receive what has arrived at a socket that does not block: WAIT if there is nothing, else as feed().

        TTransportException(END_OF_FILE) once the server hung up.
        """
        cdef Py_ssize_t size
        try:
            size = sock.recv_into(self.room())
        except (BlockingIOError, InterruptedError):
            return REPLY_WAIT
        if size <= 0:
            self.client().refuse_end()
        return self.arrived(<size_t>size)

    def end_reply(self, tuple args):
        """End a call whose reply is done; its value."""
        self.finish(args)
        value, self.value = self.value, None
        return value
