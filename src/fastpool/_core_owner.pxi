# Who asks: the triple (thread, greenlet, task).  All three must match for a nested checkout to share.

cdef Py_ssize_t modules_seen = -1
cdef object greenlet_current = None
cdef object running_loop = None
cdef object current_task = None
cdef bint worlds = False           # greenlet or asyncio has been imported
cdef bint loops_are_noted = False  # asyncio keeps each thread's running loop in its thread state's dictionary


cdef int look_for_worlds() except -1:
    """Ask sys.modules for greenlet and asyncio.  Only when its size has changed: an import changes it."""
    global modules_seen, greenlet_current, running_loop, current_task, worlds, loops_are_noted
    cdef dict modules = sys.modules
    modules_seen = PyDict_Size(modules)
    if greenlet_current is None and "greenlet" in modules:
        greenlet_current = getattr(modules["greenlet"], "getcurrent", None)
    if running_loop is None and "asyncio" in modules:
        asyncio = modules["asyncio"]
        current_task = getattr(asyncio, "current_task", None)
        running_loop = getattr(asyncio, "_get_running_loop", None)
        loops_are_noted = running_loop is not None and notes_loops(asyncio)
    worlds = greenlet_current is not None or running_loop is not None
    return 0


cdef bint notes_loops(asyncio) except -1:
    """Tried, because it differs between versions, and between asyncio's C part and its Python part."""
    if running_loop() is not None:
        return not no_loop_noted()
    asyncio._set_running_loop(asyncio)
    try:
        return not no_loop_noted()
    finally:
        asyncio._set_running_loop(None)


cdef inline bint no_loop_noted() except -1:
    """Has no loop ever run in this thread, or (since 3.12) does none run now?  False: ask."""
    cdef PyObject *noted = PyThreadState_GetDict()
    if noted == NULL:
        return True
    noted = PyDict_GetItemWithError(<object>noted, "__asyncio_running_event_loop__")
    return noted == NULL or <object>noted is None


cdef inline bint owner_is_thread() except -1:
    """Does this thread run in its main greenlet and outside of every task?  Cheap, and sure when it says yes."""
    if PyDict_Size(<object>PyImport_GetModuleDict()) != modules_seen:
        look_for_worlds()
    if not worlds:
        return True
    if running_loop is not None and has_context() and not (loops_are_noted and no_loop_noted()):
        if running_loop() is not None:
            return False
    if greenlet_current is not None and not on_main_stack():
        if greenlet_current().parent is not None:
            return False
        remember_main_stack()
    return True


cdef tuple owner_green():
    """(greenlet or None for a thread's main one, task or None)."""
    green = task = None
    if greenlet_current is not None:
        green = greenlet_current()
        if green.parent is None:
            green = None
    if running_loop is not None:
        loop = running_loop()
        if loop is not None:
            task = current_task(loop)
    return green, task
