"""What annotations are written with. `typing` costs as much to import as all of fastpool, so only type checkers see it.

Whoever has the annotations evaluated at run time finds stand-ins here.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import Self as Self
    from typing import TypeAlias as TypeAlias
else:
    Any = object

    class Self:
        """The class of the object."""

    class TypeAlias:
        """Marks a name that stands for a type."""
