# A call of a thread or a greenlet. The socket is Python's: timeouts, gevent and eventlet stay right.

@cython.binding(False)
def call(Channel channel not None, Operation op not None, tuple args not None, int how=STRUCTS):
    """Make a call; its value, or REFUSED if thriftpy2 must make it."""
    cdef Prepared prepared = Prepared.__new__(Prepared)
    prepared.op = op
    prepared.args = args
    prepared.how = how
    return channel_call(channel, prepared)


cdef object channel_call(Channel channel, Prepared call):
    cdef object client = channel.client()
    cdef object message = channel.begin(call)
    cdef object rest = None   # the Call, if thriftpy2 read the reply
    if message is None:
        return REFUSED
    try:
        if channel.direct:
            client._socket.sock.sendall(message)
        else:
            client._socket.write(message)
        if channel_receive(channel, client) == REPLY_OTHER:
            call.has_structs = True
            rest = client.receive_rest(call.op.method, call.args)
        else:
            channel.finish(call.args)
    except BaseException as error:
        client.fail_call(call.op.method, error)
        raise
    if rest is None:
        value, channel.value = channel.value, None
        return value
    return rest.result()


def send_now(sock, bytes message not None):
    """Send at once what a socket that does not block takes; the rest, or None if there is none."""
    cdef Py_ssize_t sent
    try:
        sent = sock.send(message)
    except (BlockingIOError, InterruptedError):
        return message
    return None if sent == len(message) else message[sent:]


cdef int channel_receive(Channel channel, object client) except -1:
    cdef int state = REPLY_MORE
    cdef Py_ssize_t size
    while state == REPLY_MORE:
        if not channel.direct:
            state = channel.feed(client._socket.receive(USUAL_BUFFER))
            continue
        sock = client._socket.sock
        if sock is None:
            client._socket.read(1)  # raises: it was closed meanwhile
        size = sock.recv_into(channel.room())
        if size <= 0:
            client.refuse_end()
        state = channel.arrived(<size_t>size)
    return state
