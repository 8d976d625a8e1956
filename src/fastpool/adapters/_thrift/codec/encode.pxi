# Methods of a service as their IDL declares them, and their arguments to bytes.

cdef enum:
    RESULT_NONE = 1
    RESULT_BOOL = 2
    RESULT_I32 = 3
    RESULT_I64 = 4
    RESULT_TEXTS = 5
    RESULT_CELLS = 6
    RESULT_ROWS = 7

cdef enum:
    KIND_TEXT = 1
    KIND_BOOL = 2
    KIND_I32 = 3
    KIND_I64 = 4
    KIND_TEXTS = 5
    KIND_ATTRIBUTES = 6
    KIND_STRUCT = 7
    KIND_STRUCTS = 8

cdef tuple TEXT_TYPES = (11, 18)   # thriftpy2's string, and its binary
cdef dict SIMPLE_KINDS = {2: KIND_BOOL, 8: KIND_I32, 10: KIND_I64, 11: KIND_TEXT, 18: KIND_TEXT}


class Unsupported(Exception):
    """A method that this module leaves to thriftpy2."""


@cython.final
cdef class Field:
    """One field of a struct."""
    cdef object name
    cdef int id, kind
    cdef Struct struct

    def __cinit__(self, int id, int last, tuple spec):
        cdef object kind = spec[0]
        self.name = spec[1]
        self.id = id
        if not 1 <= id - last <= 15 or id > 255:
            raise Unsupported(spec)
        if kind in SIMPLE_KINDS:
            self.kind = SIMPLE_KINDS[kind]
        elif kind == WIRE_STRUCT:
            self.kind = KIND_STRUCT
            self.struct = Struct(spec[2])
        elif kind == WIRE_LIST and spec[2] in TEXT_TYPES:
            self.kind = KIND_TEXTS
        elif kind == WIRE_LIST and isinstance(spec[2], tuple) and spec[2][0] == WIRE_STRUCT:
            self.kind = KIND_STRUCTS
            self.struct = Struct(spec[2][1])
        elif kind == WIRE_MAP and spec[2][0] in TEXT_TYPES and spec[2][1] in TEXT_TYPES:
            self.kind = KIND_ATTRIBUTES
        else:
            raise Unsupported(spec)


@cython.final
cdef class Struct:
    """A struct of the IDL: its class, and its fields in the order in which thriftpy2 writes them."""
    cdef object made_class
    cdef tuple fields

    def __cinit__(self, made_class):
        cdef int last = 0
        cdef list fields = []
        self.made_class = made_class
        for number, spec in made_class.thrift_spec.items():
            fields.append(Field(number, last, spec))
            last = number
        self.fields = tuple(fields)


def result_kind(result_class):
    """The kind of a method's result; Unsupported if this module does not read such a result."""
    spec = result_class.thrift_spec.get(0)
    if spec is None:
        return RESULT_NONE
    if spec[0] == WIRE_BOOL:
        return RESULT_BOOL
    if spec[0] == WIRE_I32:
        return RESULT_I32
    if spec[0] == WIRE_I64:
        return RESULT_I64
    if spec[0] == WIRE_LIST:
        if spec[2] == 18:
            return RESULT_TEXTS
        if isinstance(spec[2], tuple) and spec[2][0] == WIRE_STRUCT:
            kind = {"TCell": RESULT_CELLS, "TRowResult": RESULT_ROWS}.get(spec[2][1].__name__)
            if kind is not None:
                return kind
    raise Unsupported(spec)


cdef tuple CELL_SPEC = ((1, 18, "value"), (2, 10, "timestamp"))
cdef tuple COLUMN_SPEC = ((1, 18, "columnName"), (2, 12, "cell"))
cdef tuple ROW_SPEC = ((1, 18, "row"), (2, 13, "columns"), (3, 15, "sortedColumns"))


def spec_of(struct_class):
    """Numbers, types and names of a struct's fields."""
    return tuple([(number, spec[0], spec[1]) for number, spec in sorted(struct_class.thrift_spec.items())])


def shapes_of(row_class, cell_class, column_class):
    """The classes to make structs of; Unsupported unless they are declared as this module reads them."""
    for struct_class, spec in ((row_class, ROW_SPEC), (cell_class, CELL_SPEC), (column_class, COLUMN_SPEC)):
        if spec_of(struct_class) != spec or struct_class.__new__ is not object.__new__:
            raise Unsupported(struct_class)
    return Shapes(row_class, cell_class, column_class)


@cython.final
cdef class Operation:
    """A method of the service that is spoken here: a Method of service.py, and what is needed for its messages."""
    cdef readonly object method      # the Method
    cdef public object function      # the client's own function for it, to tell it from a patch or a mock
    cdef bytes name
    cdef Struct arguments
    cdef int result
    cdef Shapes shapes
    cdef bint changes_scanners

    def __cinit__(self, method, Shapes shapes):
        if not method.has_reply:
            raise Unsupported(method.name)
        self.method = method
        self.name = method.name.encode()
        self.arguments = Struct(method.args_class)
        self.result = result_kind(method.result_class)
        self.shapes = shapes
        self.changes_scanners = method.changes_scanners


# ---- values. Each returns False, and leaves the rest to thriftpy2, for what is not exactly of its type.

cdef inline bint encode_text(Out *o, object value) except -1:
    cdef Py_ssize_t size
    cdef const char *at
    if PyBytes_CheckExact(value):
        out_text(o, PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
        return PyBytes_GET_SIZE(value) <= 0x7fffffff
    if not PyUnicode_CheckExact(value) or not PyUnicode_IS_ASCII(value):
        return False
    at = PyUnicode_AsUTF8AndSize(value, &size)
    out_text(o, at, <size_t>size)
    return size <= 0x7fffffff


cdef inline bint encode_integer(Out *o, int type, object value) except -1:
    cdef int overflow = 0
    cdef int64_t number
    if not PyLong_CheckExact(value):
        return False
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or (type == WIRE_I32 and number != <int32_t>number):
        return False
    out_integer(o, type, number)
    return True


cdef inline bint encoded(Py_ssize_t missing) except -1:
    """Whether a container is written. Without the GIL another thread may have changed it after its length was."""
    if missing:
        raise RuntimeError("an argument changed size while it was encoded; no other thread may change it meanwhile")
    return True


cdef bint encode_texts(Out *o, object values) except -1:
    cdef Py_ssize_t count
    if type(values) is not list and type(values) is not tuple:
        return False
    count = len(values)
    out_list(o, WIRE_STRING, <size_t>count)
    for value in values:
        count -= 1
        if not encode_text(o, value):
            return False
    return encoded(count)


cdef bint encode_attributes(Out *o, object values) except -1:
    cdef Py_ssize_t count
    if type(values) is not dict:
        return False
    count = len(<dict>values)
    out_map(o, <size_t>count)
    for key, value in (<dict>values).items():
        count -= 1
        if not encode_text(o, key) or not encode_text(o, value):
            return False
    return encoded(count)


cdef bint encode_structs(Out *o, Struct struct, object values) except -1:
    cdef Py_ssize_t count
    if type(values) is not list and type(values) is not tuple:
        return False
    count = len(values)
    out_list(o, WIRE_STRUCT, <size_t>count)
    for value in values:
        count -= 1
        if not encode_struct(o, struct, value):
            return False
    return encoded(count)


cdef bint encode_struct(Out *o, Struct struct, object value) except -1:
    cdef int last = 0
    cdef Field field
    if type(value) is not struct.made_class:
        return False
    for field in struct.fields:
        if not encode_field(o, field, getattr(value, field.name, None), &last):
            return False
    out_byte(o, WIRE_STOP)
    return True


cdef bint encode_field(Out *o, Field field, object value, int *last) except -1:
    """A field whose value is not None; ``last`` is the number of the field written before."""
    cdef int kind = field.kind
    if value is None:
        return True
    if not 1 <= field.id - last[0] <= 15:
        return False
    if kind == KIND_BOOL:
        if value is not True and value is not False:
            return False
        out_bool_field(o, value is True, field.id, last[0])
    elif kind == KIND_TEXT:
        out_field(o, WIRE_STRING, field.id, last[0])
        if not encode_text(o, value):
            return False
    elif kind == KIND_I32 or kind == KIND_I64:
        out_field(o, WIRE_I32 if kind == KIND_I32 else WIRE_I64, field.id, last[0])
        if not encode_integer(o, WIRE_I32 if kind == KIND_I32 else WIRE_I64, value):
            return False
    elif kind == KIND_TEXTS:
        out_field(o, WIRE_LIST, field.id, last[0])
        if not encode_texts(o, value):
            return False
    elif kind == KIND_ATTRIBUTES:
        out_field(o, WIRE_MAP, field.id, last[0])
        if not encode_attributes(o, value):
            return False
    elif kind == KIND_STRUCT:
        out_field(o, WIRE_STRUCT, field.id, last[0])
        if not encode_struct(o, field.struct, value):
            return False
    else:
        out_field(o, WIRE_LIST, field.id, last[0])
        if not encode_structs(o, field.struct, value):
            return False
    last[0] = field.id
    return True


cdef bint encode_arguments(Out *o, Operation op, tuple args) except -1:
    cdef int last = 0
    cdef Py_ssize_t i
    cdef tuple fields = op.arguments.fields
    if len(args) > len(fields):
        return False
    for i in range(len(args)):
        if not encode_field(o, <Field>fields[i], args[i], &last):
            return False
    out_byte(o, WIRE_STOP)
    return True
