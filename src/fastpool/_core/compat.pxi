# Private structures of other packages that are used, and how a test turns them off (docs/compat.md lists them all).

cdef extern from "compat_main_thread.h":
    bint os_is_main_thread "_PyOS_IsMainThread"()
    bint os_knows_main_thread "fp_knows_main_thread"()

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
cdef bint methods_are_bare = False  # whether rebind() has made any

ctypedef object (*GetCurrent)()

cdef enum:
    GET_CURRENT = 4  # its index in the C API table of greenlet.h

cdef str LOOP_NOTE = "__asyncio_running_event_loop__"


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


def private_known():
    """The names of all private structures, as do_without() takes them."""
    return set(PRIVATE)


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
        "bare methods": methods_are_bare and not without & NO_BARE_METHODS,
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


cdef GetCurrent compat_getcurrent_of(greenlet) except? NULL:
    """greenlet's C function for the current greenlet; NULL: only `greenlet.getcurrent` exists."""
    capsule = getattr(greenlet, "_C_API", None)
    if without & NO_GREENLET_TABLE or not PyCapsule_IsValid(capsule, "greenlet._C_API"):
        return NULL
    return (<GetCurrent *>PyCapsule_GetPointer(capsule, "greenlet._C_API"))[GET_CURRENT]


cdef dict compat_table_of_tasks(asyncio):
    """asyncio's dictionary of the current tasks; None: it has none."""
    tasks = getattr(getattr(asyncio, "tasks", None), "_current_tasks", None)
    return tasks if type(tasks) is dict and not without & NO_TASK_TABLE else None


cdef bint compat_handles_are_futures(asyncio) except -1:
    """Whether asyncio accepts a TaskHandle as a future, by the attribute `_asyncio_future_blocking`."""
    is_future = getattr(asyncio, "isfuture", None)
    return is_future is not None and not without & NO_FUTURE_MARK and is_future(TaskHandle.__new__(TaskHandle))


@cython.final
@cython.internal
cdef class Asks:
    """Wraps asyncio's public function for the running loop, which raises where there is none."""
    cdef object get_running_loop

    def __call__(self):
        try:
            return self.get_running_loop()
        except RuntimeError:
            return None


cdef object compat_loop_getter(asyncio):
    """A function that returns this thread's running loop, or None; None itself if asyncio is half imported."""
    cdef Asks asks
    found = None if without & NO_LOOP_CALLS else getattr(asyncio, "_get_running_loop", None)
    public = getattr(asyncio, "get_running_loop", None)
    if found is not None or public is None:
        return found
    asks = Asks.__new__(Asks)
    asks.get_running_loop = public
    return asks


cdef bint compat_loop_is_noted(asyncio) except -1:
    """Whether asyncio stores the running loop in the thread state's dictionary.  Tried out: that differs between
    versions, and between asyncio's C part and its Python part."""
    if without & NO_LOOP_NOTE:
        return False
    loop = running_loop()
    if loop is not None:
        return noted_loop(LOOP_NOTE) == <PyObject *>loop
    note = None if without & NO_LOOP_CALLS else getattr(asyncio, "_set_running_loop", None)
    if note is None:
        return False
    note(asyncio)
    try:
        if noted_loop(LOOP_NOTE) != <PyObject *>asyncio:
            return False
    finally:
        note(None)
    return noted_loop(LOOP_NOTE) == NULL
