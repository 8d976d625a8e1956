"""Frozen dataclasses, made without importing `dataclasses`, whose import costs as much as all of fastpool.

`dataclasses` itself recognises them: ``fields``, ``asdict``, ``replace``, ``is_dataclass`` and subclasses work as with
its own. It is imported when it asks for the first time, and never by a pool.
"""

from __future__ import annotations

import sys

from .hints import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import replace as replace
else:

    class _Missing:
        def __repr__(self):
            return "<factory>"  # in a signature

    _MISSING = _Missing()

    class _Field:
        __slots__ = ("compare", "default", "default_factory", "hash", "hashed", "name", "repr", "type")

        def __init__(self, default, default_factory, hash, repr, compare):
            self.name = self.type = ""
            self.default = default
            self.default_factory = default_factory
            self.hash = hash
            self.hashed = compare if hash is None else hash
            self.repr = repr
            self.compare = compare

    def field(*, default=_MISSING, default_factory=_MISSING, hash=None, repr=True, compare=True):
        """Like `dataclasses.field`."""
        return _Field(default, default_factory, hash, repr, compare)

    def fields(record):
        """Like `dataclasses.fields`, with ``name`` and ``default`` in each."""
        return record._fields_here

    def replace(record, /, **changes):
        """Like `dataclasses.replace`."""
        return record.__class__(**{one.name: getattr(record, one.name) for one in record._fields_here} | changes)

    class _Asked:
        """The attribute that `dataclasses` looks for in a class, made on demand."""

        def __init__(self, kw_only):
            self.kw_only = kw_only

        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner):
            import dataclasses

            record = next(kind for kind in owner.__mro__ if "_fields_here" in kind.__dict__)
            specs = []
            for one in record._fields_here:
                given = {name: getattr(one, name) for name in ("hash", "repr", "compare")}
                for name in ("default", "default_factory"):
                    if getattr(one, name) is not _MISSING:
                        given[name] = getattr(one, name)
                specs.append((one.name, one.type, dataclasses.field(**given)))
            twin = dataclasses.make_dataclass(record.__name__, specs, frozen=True, kw_only=self.kw_only)
            return getattr(twin, self.name)

    def dataclass(*, frozen, slots, kw_only=False, repr=True):
        """Like `dataclasses.dataclass`, for frozen classes with slots."""
        assert frozen
        assert slots
        return lambda cls: _made(cls, kw_only, repr)

    def _made(cls, kw_only, shown):
        here, namespace = [], dict(cls.__dict__)
        for name, kind in cls.__annotations__.items():
            given = namespace.pop(name, _MISSING)
            one = given if isinstance(given, _Field) else field(default=given)
            one.name, one.type = name, kind
            here.append(one)
        for name in ("__dict__", "__weakref__"):
            namespace.pop(name, None)
        names = tuple(one.name for one in here)
        namespace |= {
            "__slots__": names,
            "__match_args__": () if kw_only else names,
            "__init__": _init_of(cls, here, kw_only),
            "__setattr__": _set,
            "__delattr__": _delete,
            "__eq__": _equal,
            "__hash__": _hash,
            "__replace__": replace,
            "__dataclass_fields__": _Asked(kw_only),
            "__dataclass_params__": _Asked(kw_only),
            "_fields_here": tuple(here),
        }
        namespace.setdefault("__getstate__", _state)
        namespace.setdefault("__setstate__", _set_state)
        if shown:
            namespace["__repr__"] = _shown
        return type(cls)(cls.__name__, cls.__bases__, namespace)

    def _init_of(cls, here, kw_only):
        """As in dataclasses, a function of the class's module with a parameter for each field."""
        scope = {"put": object.__setattr__, "left_out": _MISSING}
        parameters, lines = [], []
        for number, one in enumerate(here):
            value = one.name
            if one.default_factory is not _MISSING:
                scope[f"made{number}"] = one.default_factory
                parameters.append(f"{one.name}=left_out")
                value = f"made{number}() if {one.name} is left_out else {one.name}"
            elif one.default is not _MISSING:
                scope[f"default{number}"] = one.default
                parameters.append(f"{one.name}=default{number}")
            else:
                parameters.append(one.name)
            lines.append(f"  put(self, {one.name!r}, {value})\n")
        if hasattr(cls, "__post_init__"):
            lines.append("  self.__post_init__()\n")
        start = "self, *, " if kw_only else "self, "
        text = f" def __init__({start}{', '.join(parameters)}):\n{''.join(lines)} return __init__\n"
        made = {}
        exec(f"def make({', '.join(scope)}):\n{text}", sys.modules[cls.__module__].__dict__, made)
        init = made["make"](**scope)
        init.__qualname__ = f"{cls.__qualname__}.__init__"
        init.__annotations__ = {one.name: one.type for one in here} | {"return": None}
        return init

    def _set(self, name, value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _delete(self, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _compared(self):
        return tuple([getattr(self, one.name) for one in self._fields_here if one.compare])

    def _equal(self, other):
        return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented

    def _hash(self):
        return hash(tuple([getattr(self, one.name) for one in self._fields_here if one.hashed]))

    def _shown(self):
        shown = [f"{one.name}={getattr(self, one.name)!r}" for one in self._fields_here if one.repr]
        return f"{self.__class__.__qualname__}({', '.join(shown)})"

    def _state(self):
        return [getattr(self, one.name) for one in self._fields_here]

    def _set_state(self, state):
        for one, value in zip(self._fields_here, state, strict=True):
            object.__setattr__(self, one.name, value)


__all__ = ["dataclass", "field", "fields", "replace"]
