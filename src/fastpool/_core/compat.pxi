# Private structures of other packages that are used, and how a test turns them off (docs/compat.md lists them all).

cdef enum:
    NO_STACK_CHUNK = 1
    NO_CONTEXT = 2
    NO_GREENLET_TABLE = 4
    NO_LOOP_NOTE = 8
    NO_TASK_TABLE = 16
    NO_FUTURE_MARK = 32
    NO_MAIN_THREAD = 64
    NO_GEVENT_HUB = 128
    NO_EVENTLET_HUB = 256
    NO_THREAD_START = 512
    NO_THREAD_TABLE = 1024
    NO_LOOP_CALLS = 2048
    NO_EVENTLET_END = 4096
    NO_BARE_METHODS = 8192
    NO_IMMORTALS = 16384

cdef dict PRIVATE = {
    "stack chunk": NO_STACK_CHUNK,
    "context": NO_CONTEXT,
    "greenlet's table": NO_GREENLET_TABLE,
    "loop's note": NO_LOOP_NOTE,
    "loop's functions": NO_LOOP_CALLS,
    "table of tasks": NO_TASK_TABLE,
    "mark of futures": NO_FUTURE_MARK,
    "main thread": NO_MAIN_THREAD,
    "gevent's hub": NO_GEVENT_HUB,
    "eventlet's hub": NO_EVENTLET_HUB,
    "eventlet's end": NO_EVENTLET_END,
    "start of threads": NO_THREAD_START,
    "table of threads": NO_THREAD_TABLE,
    "bare methods": NO_BARE_METHODS,
    "immortal objects": NO_IMMORTALS,
}
cdef int without = 0


def do_without(*names):
    """Behave from now on as if these were missing.  For tests, which call it before they use anything else."""
    global without, modules_seen, greenlet_current, greenlet_now, running_loop, hub_if_any
    from .compat import without as missing
    for name in names:
        without |= PRIVATE[name]
        missing.add(name)
    hide(without & NO_STACK_CHUNK, without & NO_CONTEXT)
    modules_seen, greenlet_current, greenlet_now, running_loop, hub_if_any = -1, None, NULL, None, None
    owner_notice_imports()


def private_in_use():
    """The private structures that the core uses; those of another library once it was imported and needed."""
    owner_notice_imports()
    used = {
        "stack chunk": main_stack_is_known(),
        "context": shows_contexts(),
        "greenlet's table": greenlet_now != NULL,
        "loop's note": loops_are_noted,
        "loop's functions": running_loop is not None and type(running_loop) is not Asks,
        "table of tasks": tasks_are_in_table,
        "mark of futures": handles_are_futures,
        "main thread": compat_asks_system_for_main(),
        "immortal objects": MAKES_IMMORTAL and not without & NO_IMMORTALS,
        "gevent's hub": getattr(hub_if_any, "__name__", None) == "get_hub_if_exists",
    }
    return {name for name, is_used in used.items() if is_used}


cdef inline bint compat_asks_system_for_main() noexcept:
    return not without & NO_MAIN_THREAD and os_knows_main_thread()


cdef bint compat_is_main_thread() except -1:
    """Whether this is the thread in which signal handlers run."""
    if compat_asks_system_for_main():
        return os_is_main_thread()
    import threading
    return threading.main_thread().ident == PyThread_get_thread_ident()
