# Who asks: the triple (thread, greenlet, task).  All three must match for a nested checkout to share.

cdef Py_ssize_t modules_seen = -1
cdef object greenlet_current = None
cdef object running_loop = None
cdef object current_task = None     # of a loop
cdef object cancelled_error = None
cdef bint worlds = False           # greenlet or asyncio has been imported
cdef bint loops_are_noted = False  # asyncio keeps each thread's running loop in its thread state's dictionary


cdef int look_for_worlds() except -1:
    """Ask sys.modules for greenlet and asyncio.  Only when its size has changed: an import changes it."""
    global modules_seen, greenlet_current, running_loop, worlds, loops_are_noted
    cdef dict modules = sys.modules
    modules_seen = PyDict_Size(modules)
    if greenlet_current is None and "greenlet" in modules:
        greenlet_current = getattr(modules["greenlet"], "getcurrent", None)
    if running_loop is None and "asyncio" in modules:
        asyncio = modules["asyncio"]
        learn_asyncio(asyncio)
        running_loop = getattr(asyncio, "_get_running_loop", None) if current_task is not None else None
        loops_are_noted = running_loop is not None and notes_loops(asyncio)
    worlds = greenlet_current is not None or running_loop is not None
    return 0


cdef int learn_asyncio(asyncio) except -1:
    """What is asked of asyncio time and again.  It may be half imported, by another thread: then it is asked later."""
    global current_task, cancelled_error
    current_task = getattr(asyncio, "current_task", None)
    # up to 3.11 a Python function around this dict
    tasks = getattr(getattr(asyncio, "tasks", None), "_current_tasks", None)
    if sys.version_info < (3, 12) and type(tasks) is dict:
        current_task = tasks.get
    cancelled_error = getattr(asyncio, "CancelledError", None)
    return 0


cdef bint notes_loops(asyncio) except -1:
    """Tried, because it differs between versions, and between asyncio's C part and its Python part."""
    loop = running_loop()
    if loop is not None:
        return noted_loop(LOOP_NOTE) == <PyObject *>loop
    asyncio._set_running_loop(asyncio)
    try:
        if noted_loop(LOOP_NOTE) != <PyObject *>asyncio:
            return False
    finally:
        asyncio._set_running_loop(None)
    return noted_loop(LOOP_NOTE) == NULL


cdef str LOOP_NOTE = "__asyncio_running_event_loop__"


cdef inline object loop_running():
    """asyncio's loop that runs in this thread; None: none does."""
    cdef PyObject *loop
    if loops_are_noted:
        loop = noted_loop(LOOP_NOTE)
        return None if loop == NULL else <object>loop
    return None if running_loop is None else running_loop()


cdef inline int notice_imports() except -1:
    """Somebody may have brought greenlets or tasks in since this was last asked."""
    if PyDict_Size(<object>PyImport_GetModuleDict()) != modules_seen:
        look_for_worlds()
    return 0


cdef inline bint owner_is_thread() except -1:
    """Does this thread run in its main greenlet and outside of every task?  Cheap, and sure when it says yes."""
    notice_imports()
    if not worlds:
        return True
    if running_loop is not None and has_context() and loop_running() is not None:
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
    loop = loop_running()
    if loop is not None:
        task = current_task(loop)
    return green, task
