# A call of a thread or a greenlet. The socket is Python's: timeouts, gevent and eventlet stay right.

@cython.binding(False)
def call(Channel channel not None, Operation op not None, tuple args not None, int how=STRUCTS):
    """Make a call; its value, or REFUSED if thriftpy2 must make it."""
    return channel_call(channel, op, args, None, None, None, how, None)


cdef object channel_call(
    Channel channel, Operation op, tuple args, object table, dict rows, object timestamp, int how, Rows used
):
    """Make a call, with the arguments of Channel.begin(); ``used``: rows whose buffer it may use again."""
    cdef object client = channel.client()
    cdef object message = channel.begin(op, args, table, rows, timestamp, how)
    cdef object rest = None   # the Call, if thriftpy2 read the reply
    if message is None:
        return REFUSED
    if used is not None:
        channel.reuse(used)
    try:
        if channel.direct:
            client._socket.sock.sendall(message)
        else:
            client._socket.write(message)
        if channel_receive(channel, client) == REPLY_OTHER:
            channel.has_structs = True
            rest = client.receive_rest(op.method, args)
        else:
            channel.finish(args)
    except BaseException as error:
        client.fail_call(op.method, error)
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
