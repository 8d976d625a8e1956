"""The names for annotations. `typing` costs as much to import as all of fastpool, so only type checkers see it.

Annotations that are evaluated at run time find stand-ins here.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import Generic as Generic
    from typing import Self as Self
    from typing import TypeAlias as TypeAlias
    from typing import Unpack as Unpack

    from typing_extensions import TypeVar

    C = TypeVar("C", default=Any)  # a kind of connection
    C_co = TypeVar("C_co", covariant=True, default=Any)
else:
    from types import GenericAlias

    Any = C = object

    class Generic:
        """Makes its subclasses take a parameter, as in ``Driver[Connection]``."""

        __class_getitem__ = classmethod(GenericAlias)

    class Self:
        """The class of the object."""

    class Unpack:
        """Stands for the options that a function takes by name."""

        __class_getitem__ = classmethod(GenericAlias)

    class TypeAlias:
        """Marks a name that stands for a type."""
