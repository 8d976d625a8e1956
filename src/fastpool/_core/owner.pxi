# The owner of a lease: the triple (thread, greenlet, task).  All three must match for a nested checkout to share it.

cdef Py_ssize_t modules_seen = -1
cdef object greenlet_current = None
cdef GetCurrent greenlet_now = NULL  # greenlet's C function for that, NULL if it has none
cdef object plain_greenlet = None  # the class of main greenlets
cdef object running_loop = None
cdef object current_task = None     # asyncio's own function; called by owner_task_in
cdef dict python_tasks = None       # loop -> task: those that asyncio's Python part runs, if they are kept apart
cdef object cancelled_error = None
cdef bint beyond_threads = False    # greenlet or asyncio has been imported
cdef bint tasks_are_in_table = False  # asyncio's private dictionary of current tasks is read
cdef bint handles_are_futures = False  # asyncio accepts a TaskHandle as a future, by the attribute that marks one
cdef bint loops_are_noted = False  # asyncio keeps each thread's running loop in its thread state's dictionary


cdef int owner_find_greenlet(greenlet) except -1:
    """Look up greenlet's functions, as far as they exist: another thread may still be importing it."""
    global greenlet_current, greenlet_now, plain_greenlet
    current = getattr(greenlet, "getcurrent", None)
    if current is None:
        return 0
    main = current()
    while main.parent is not None:
        main = main.parent
    plain_greenlet = type(main)
    greenlet_now = compat_getcurrent_of(greenlet)
    greenlet_current = current  # last: it shows that the others are set
    return 0


cdef int owner_find_models() except -1:
    """Look for greenlet and asyncio in sys.modules.  Called when its size has changed: an import changes it."""
    global modules_seen, running_loop, beyond_threads, loops_are_noted
    cdef dict modules = sys.modules
    modules_seen = PyDict_Size(modules)
    if greenlet_current is None and "greenlet" in modules:
        owner_find_greenlet(modules["greenlet"])
    if running_loop is None and "asyncio" in modules:
        asyncio = modules["asyncio"]
        owner_learn_asyncio(asyncio)
        running_loop = None if current_task is None else compat_loop_getter(asyncio)
        loops_are_noted = running_loop is not None and compat_loop_is_noted(asyncio)
    beyond_threads = greenlet_current is not None or running_loop is not None
    return 0


cdef int owner_learn_asyncio(asyncio) except -1:
    """Look up the functions of asyncio that are called often; again later if another thread is still importing it."""
    global current_task, python_tasks, cancelled_error, tasks_are_in_table, handles_are_futures
    current_task = getattr(asyncio, "current_task", None)
    tasks = compat_table_of_tasks(asyncio)
    tasks_are_in_table = tasks is not None
    python_tasks = None
    if tasks_are_in_table:
        if sys.version_info < (3, 12):
            current_task = tasks.get  # asyncio's own is a Python function around it
        elif sys.version_info >= (3, 14):
            python_tasks = tasks  # the C part's are in the thread state
    cancelled_error = getattr(asyncio, "CancelledError", None)
    handles_are_futures = compat_handles_are_futures(asyncio)
    return 0


cdef inline object owner_loop_running():
    """The asyncio loop that runs in this thread, or None."""
    cdef PyObject *loop
    if loops_are_noted:
        loop = noted_loop(LOOP_NOTE)
        return None if loop == NULL else <object>loop
    return None if running_loop is None else running_loop()


cdef inline int owner_notice_imports() except -1:
    """Look for greenlet and asyncio if a module was imported since the last call."""
    if PyDict_Size(<object>PyImport_GetModuleDict()) != modules_seen:
        owner_find_models()
    return 0


cdef inline bint owner_may_be_green_or_task() except -1:
    """Whether there may be a current greenlet or task."""
    owner_notice_imports()
    return beyond_threads


cdef inline object owner_greenlet():
    """The current greenlet; None for a thread's main one, which is recognised without a call to greenlet."""
    if greenlet_current is None or on_main_stack():
        return None
    return owner_unless_main(owner_current_greenlet())


cdef inline object owner_unless_main(object green):
    """`green`, or None if it is the thread's main greenlet; `green` must be the current one."""
    if type(green) is plain_greenlet and green.parent is None:
        remember_main_stack()
        return None
    return green


cdef inline object owner_current_greenlet():
    """The current greenlet, a main one included; greenlet must have been imported."""
    return greenlet_now() if greenlet_now != NULL else greenlet_current()


cdef inline object owner_task():
    """The current task, or None."""
    if running_loop is None or not has_context():
        return None
    loop = owner_loop_running()
    return None if loop is None else owner_task_in(loop)


cdef inline object owner_task_in(loop):
    """The current task of a loop that runs here.  From 3.14 on asyncio.current_task misses a task that its Python part
    runs, as nest_asyncio makes them: two such tasks must not pass for one."""
    if python_tasks is not None and PyDict_Size(python_tasks) != 0:
        task = python_tasks.get(loop)
        if task is not None:
            return task
    return current_task(loop)


cdef inline object owner_ref(object o):
    return None if o is None else PyWeakref_NewRef(o, None)
