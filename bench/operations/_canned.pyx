"""Compiled: sockets whose other side is a table of canned replies, in this process or at the end of a real connection.

A reply is the header for the call's name and sequence id, and a recorded body. Buffered transport only; both protocols.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    int MSG_NOSIGNAL

cdef enum:
    ROOM = 64              # before each body, for the header
    LONGEST_NAME = 40
    MOST_REPLIES = 64
    MOST_RECEIVED = 65536

cdef struct Reply:
    char name[LONGEST_NAME]
    size_t name_size
    unsigned char *data    # ROOM bytes, then the body
    size_t body_size
    int following          # the index of the reply to the next call of this name

cdef struct Call:
    const unsigned char *name
    size_t name_size
    uint32_t seqid


cdef inline bint read_call(const unsigned char *p, size_t size, Call *call) noexcept nogil:
    """Read the header of a call; False: this is not the beginning of one."""
    cdef size_t i
    cdef int shift = 0
    if size >= 12 and p[0] == 0x80 and p[1] == 1 and p[2] == 0 and p[3] == 1:
        call.name_size = p[7]
        call.name = p + 8
        if 12 + call.name_size > size:
            return False
        p += 8 + call.name_size
        call.seqid = <uint32_t>p[0] << 24 | <uint32_t>p[1] << 16 | <uint32_t>p[2] << 8 | p[3]
        return True
    if size < 4 or p[0] != 0x82 or p[1] != 0x21:
        return False
    i = 2
    call.seqid = 0
    while i + 1 < size:
        call.seqid |= <uint32_t>(p[i] & 0x7f) << shift
        shift += 7
        i += 1
        if not p[i - 1] & 0x80:
            break
    call.name_size = p[i]
    call.name = p + i + 1
    return i + 1 + call.name_size <= size


@cython.final
cdef class Replies:
    """Recorded replies: for each method of ``recorded`` its bodies, which are given in turn."""
    cdef Reply replies[MOST_REPLIES]
    cdef int first[MOST_REPLIES]   # of each name: the index of the reply to its next call
    cdef int names, count
    cdef bint compact

    def __cinit__(self, dict recorded, bint compact):
        cdef Reply *reply
        self.compact = compact
        for name, bodies in recorded.items():
            begin = self.count
            for i, body in enumerate(bodies):
                if self.count == MOST_REPLIES or len(name) >= LONGEST_NAME:
                    raise ValueError("too many replies, or too long a name")
                reply = &self.replies[self.count]
                reply.name_size = len(name)
                memcpy(reply.name, PyBytes_AS_STRING(name), reply.name_size)
                reply.body_size = len(body)
                reply.data = <unsigned char *>malloc(ROOM + reply.body_size)
                if reply.data == NULL:
                    raise MemoryError()
                memcpy(reply.data + ROOM, PyBytes_AS_STRING(body), reply.body_size)
                reply.following = begin + (i + 1) % len(bodies)
                self.count += 1
            self.first[self.names] = begin
            self.names += 1

    def __dealloc__(self):
        for i in range(self.count):
            free(self.replies[i].data)

    cdef Reply *answer(self, Call *call, int *following) noexcept nogil:
        """The next reply to the call; ``following`` has one number for each name."""
        cdef int i
        cdef Reply *reply
        for i in range(self.names):
            reply = &self.replies[following[i]]
            if reply.name_size == call.name_size and memcmp(reply.name, call.name, call.name_size) == 0:
                following[i] = reply.following
                return reply
        return NULL

    cdef size_t header(self, Call *call, unsigned char *end) noexcept nogil:
        """Write the header so that it ends at ``end``; its size."""
        cdef unsigned char *p
        cdef uint32_t seqid = call.seqid
        cdef size_t size
        if not self.compact:
            size = 12 + call.name_size
            p = end - size
            p[0] = 0x80
            p[1] = 1
            p[2] = 0
            p[3] = 2
            p[4] = p[5] = p[6] = 0
            p[7] = <unsigned char>call.name_size
            memcpy(p + 8, call.name, call.name_size)
            p += 8 + call.name_size
            p[0] = <unsigned char>(seqid >> 24)
            p[1] = <unsigned char>(seqid >> 16)
            p[2] = <unsigned char>(seqid >> 8)
            p[3] = <unsigned char>seqid
            return size
        size = 4
        while seqid > 0x7f:
            seqid >>= 7
            size += 1
        seqid = call.seqid
        size += call.name_size
        p = end - size
        p[0] = 0x82
        p[1] = 0x41
        p += 2
        while seqid > 0x7f:
            p[0] = <unsigned char>(seqid | 0x80)
            seqid >>= 7
            p += 1
        p[0] = <unsigned char>seqid
        p[1] = <unsigned char>call.name_size
        memcpy(p + 2, call.name, call.name_size)
        return size


@cython.final
cdef class CannedSocket:
    """A socket that answers by itself; all that it has not is that of ``real``."""
    cdef Replies replies
    cdef object real
    cdef int following[MOST_REPLIES]
    cdef const unsigned char *at
    cdef size_t left

    def __cinit__(self, Replies replies not None, real):
        self.replies = replies
        self.real = real
        memcpy(self.following, replies.first, sizeof(replies.first))

    def __getattr__(self, name):
        return getattr(self.real, name)

    @cython.binding(False)
    def sendall(self, bytes data not None):
        cdef Call call
        cdef Reply *reply
        cdef size_t size
        if not read_call(<const unsigned char *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), &call):
            return  # the rest of a message
        reply = self.replies.answer(&call, self.following)
        if reply == NULL:
            raise LookupError(f"no reply to {call.name[:call.name_size]!r} was recorded")
        size = self.replies.header(&call, reply.data + ROOM)
        self.at = reply.data + ROOM - size
        self.left = size + reply.body_size

    @cython.binding(False)
    def recv(self, Py_ssize_t size):
        cdef size_t given = min(self.left, <size_t>size)
        data = PyBytes_FromStringAndSize(<const char *>self.at, <Py_ssize_t>given)
        self.at += given
        self.left -= given
        return data

    @cython.binding(False)
    def recv_into(self, buffer):
        cdef Py_buffer view
        cdef size_t given
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        given = min(self.left, <size_t>view.len)
        memcpy(view.buf, self.at, given)
        PyBuffer_Release(&view)
        self.at += given
        self.left -= given
        return given


def serve(int fd, Replies replies not None):
    """Answer the calls that arrive at a connected socket, without the GIL, until it ends."""
    cdef int following[MOST_REPLIES]
    cdef unsigned char *received
    cdef Call call
    cdef Reply *reply
    cdef ssize_t size
    memcpy(following, replies.first, sizeof(replies.first))
    received = <unsigned char *>malloc(MOST_RECEIVED)
    if received == NULL:
        raise MemoryError()
    with nogil:
        while True:
            size = recv(fd, received, MOST_RECEIVED, 0)
            if size <= 0:
                break
            if not read_call(received, <size_t>size, &call):
                continue
            reply = replies.answer(&call, following)
            if reply == NULL or not send_reply(fd, replies, &call, reply):
                break
    free(received)


cdef bint send_reply(int fd, Replies replies, Call *call, Reply *reply) noexcept nogil:
    cdef unsigned char data[8192]
    cdef size_t header, size, at = 0
    cdef ssize_t sent
    cdef unsigned char head[ROOM]
    header = replies.header(call, head + ROOM)
    size = header + reply.body_size
    if size > sizeof(data):
        return False
    memcpy(data, head + ROOM - header, header)
    memcpy(data + header, reply.data + ROOM, reply.body_size)
    while at < size:
        sent = send(fd, data + at, size - at, MSG_NOSIGNAL)
        if sent <= 0:
            return False
        at += <size_t>sent
    return True
