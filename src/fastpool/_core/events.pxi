# The events that the core emits.

cdef int event_connected(Core core, object server, object c, double seconds) except -1:
    if core.hears & EVENT_CONNECTED:
        event_tell(core, "connected", {"server": server, "connection": c, "duration": seconds})
    return 0


cdef int event_checked_out(Core core, Entry entry, int64_t began) except -1:
    if core.hears & EVENT_CHECKED_OUT:
        waited = (clock_ns() - began) / 1e9
        event_tell(core, "checked_out", {"server": entry.server, "connection": entry.connection, "waited": waited})
    return 0


cdef int event_checked_in(Core core, Entry entry, int64_t since, object exc) except -1:
    if core.hears & EVENT_CHECKED_IN:
        told = {"server": entry.server, "connection": entry.connection, "duration": (clock_ns() - since) / 1e9}
        event_tell(core, "checked_in", {**told, "error": exc})
    return 0


cdef int event_tell(Core core, str name, dict fields) except -1:
    """Call the listeners.  Their Exceptions are logged; an exception of a signal handler propagates."""
    core.listeners.tell(core, name, **fields)
    return 0
