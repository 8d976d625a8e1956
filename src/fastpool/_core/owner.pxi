# Who asks: the triple (thread, greenlet, task).  All three must match for a nested checkout to share.

ctypedef object (*GetCurrent)()

cdef enum:
    GET_CURRENT = 4  # where it is in the table of greenlet.h

cdef Py_ssize_t modules_seen = -1
cdef object greenlet_current = None
cdef GetCurrent greenlet_now = NULL  # the same for C, NULL if it has none
cdef object plain_greenlet = None  # the class of main greenlets
cdef object running_loop = None
cdef object current_task = None     # of a loop: asyncio's own function; a task is asked for by task_in
cdef dict python_tasks = None       # loop -> task: those that asyncio's Python part runs, if it counts them apart
cdef object cancelled_error = None
cdef bint beyond_threads = False    # greenlet or asyncio has been imported
cdef bint tasks_are_in_table = False  # its private dictionary of current tasks is read
cdef bint handles_are_futures = False  # it takes a handle for a future, by the mark that one has
cdef bint loops_are_noted = False  # asyncio keeps each thread's running loop in its thread state's dictionary


cdef int owner_find_greenlet(greenlet) except -1:
    """Whatever of it is there: it may be that it is just being imported."""
    global greenlet_current, greenlet_now, plain_greenlet
    current = getattr(greenlet, "getcurrent", None)
    if current is None:
        return 0
    main = current()
    while main.parent is not None:
        main = main.parent
    plain_greenlet = type(main)
    capsule = getattr(greenlet, "_C_API", None)
    if not without & NO_GREENLET_TABLE and PyCapsule_IsValid(capsule, "greenlet._C_API"):
        greenlet_now = (<GetCurrent *>PyCapsule_GetPointer(capsule, "greenlet._C_API"))[GET_CURRENT]
    greenlet_current = current  # last: who sees it uses the others
    return 0


cdef int owner_find_models() except -1:
    """Ask sys.modules for greenlet and asyncio.  Only when its size has changed: an import changes it."""
    global modules_seen, running_loop, beyond_threads, loops_are_noted
    cdef dict modules = sys.modules
    modules_seen = PyDict_Size(modules)
    if greenlet_current is None and "greenlet" in modules:
        owner_find_greenlet(modules["greenlet"])
    if running_loop is None and "asyncio" in modules:
        asyncio = modules["asyncio"]
        owner_learn_asyncio(asyncio)
        running_loop = None if current_task is None else owner_loop_getter(asyncio)
        loops_are_noted = running_loop is not None and not without & NO_LOOP_NOTE and owner_loop_is_noted(asyncio)
    beyond_threads = greenlet_current is not None or running_loop is not None
    return 0


cdef int owner_learn_asyncio(asyncio) except -1:
    """What is asked of asyncio time and again.  It may be half imported, by another thread: then it is asked later."""
    global current_task, python_tasks, cancelled_error, tasks_are_in_table, handles_are_futures
    current_task = getattr(asyncio, "current_task", None)
    tasks = getattr(getattr(asyncio, "tasks", None), "_current_tasks", None)
    tasks_are_in_table = type(tasks) is dict and not without & NO_TASK_TABLE
    python_tasks = None
    if tasks_are_in_table:
        if sys.version_info < (3, 12):
            current_task = tasks.get  # asyncio's own is a Python function around it
        elif sys.version_info >= (3, 14):
            python_tasks = tasks  # the C part's are in the thread state
    cancelled_error = getattr(asyncio, "CancelledError", None)
    is_future = getattr(asyncio, "isfuture", None)
    handles_are_futures = (
        is_future is not None and not without & NO_FUTURE_MARK and is_future(TaskHandle.__new__(TaskHandle)))
    return 0


@cython.final
@cython.internal
cdef class Asks:
    """asyncio's public function for the running loop, which raises where there is none."""
    cdef object get_running_loop

    def __call__(self):
        try:
            return self.get_running_loop()
        except RuntimeError:
            return None


cdef object owner_loop_getter(asyncio):
    """What gives the loop that runs in a thread, or None where none does; None if asyncio is half imported."""
    cdef Asks asks
    found = None if without & NO_LOOP_CALLS else getattr(asyncio, "_get_running_loop", None)
    public = getattr(asyncio, "get_running_loop", None)
    if found is not None or public is None:
        return found
    asks = Asks.__new__(Asks)
    asks.get_running_loop = public
    return asks


cdef bint owner_loop_is_noted(asyncio) except -1:
    """Tried, because it differs between versions, and between asyncio's C part and its Python part."""
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


cdef str LOOP_NOTE = "__asyncio_running_event_loop__"


cdef inline object owner_loop_running():
    """asyncio's loop that runs in this thread; None: none does."""
    cdef PyObject *loop
    if loops_are_noted:
        loop = noted_loop(LOOP_NOTE)
        return None if loop == NULL else <object>loop
    return None if running_loop is None else running_loop()


cdef inline int owner_notice_imports() except -1:
    """Somebody may have brought greenlets or tasks in since this was last asked."""
    if PyDict_Size(<object>PyImport_GetModuleDict()) != modules_seen:
        owner_find_models()
    return 0


cdef inline bint owner_may_be_green_or_task() except -1:
    """Could there be a current greenlet or task?"""
    owner_notice_imports()
    return beyond_threads


cdef inline object owner_greenlet():
    """The current greenlet; None for a thread's main one.  Cheap there, and sure when it says None."""
    if greenlet_current is None or on_main_stack():
        return None
    return owner_unless_main(owner_current_greenlet())


cdef inline object owner_unless_main(object green):
    """The same if this is the current one."""
    if type(green) is plain_greenlet and green.parent is None:
        remember_main_stack()
        return None
    return green


cdef inline object owner_current_greenlet():
    """The same where there is greenlet, whichever is the current one."""
    return greenlet_now() if greenlet_now != NULL else greenlet_current()


cdef inline object owner_task():
    """The current task, None outside of every task."""
    if running_loop is None or not has_context():
        return None
    loop = owner_loop_running()
    return None if loop is None else owner_task_in(loop)


cdef inline object owner_task_in(loop):
    """The current task of a loop that runs here.  From 3.14 on asyncio does not tell one that its Python part runs, as
    nest_asyncio makes them: two such tasks must not pass for one."""
    if python_tasks is not None and PyDict_Size(python_tasks) != 0:
        task = python_tasks.get(loop)
        if task is not None:
            return task
    return current_task(loop)


cdef inline object owner_ref(object o):
    return None if o is None else PyWeakref_NewRef(o, None)
