"""Reports to paste into a bug report: ``fastpool doctor``, and ``fastpool.doctor()`` in a running application.

A report is read by strangers. So it has numbers, versions and fastpool's own words: no name of a host, a user, a pool
or a file, no address of a server, no value of an environment variable, no text of an exception.
"""

from __future__ import annotations

from .._light.hints import TYPE_CHECKING, Any
from . import machine, pools, software
from .advice import advice

if TYPE_CHECKING:
    from collections.abc import Mapping

_INDENT = "  "


def facts() -> dict[str, Any]:
    """The report as data that JSON can hold: section → name → value."""
    found: dict[str, Any] = {
        "fastpool": software.fastpool(),
        "build of the core": software.build(),
        "python": software.python(),
        "platform": machine.platform(),
        "libraries": software.libraries(),
        "private interfaces": software.private_interfaces(),
        "limits": machine.limits(),
        "pools of this process": pools.here(),
        "shared pools": pools.shared(),
    }
    return {**found, "advice": advice(found)}


def doctor() -> str:
    """The report as text, for a bug report about this process: versions, build, platform, limits, pools.

    It has no names of hosts, users, pools or files, and no values of environment variables. ``fastpool doctor``, or
    ``python -m fastpool doctor``, prints that of a process without pools; call this where the pools are.
    """
    return "\n".join(_lines(facts()))


def _lines(found: Mapping[str, Any], depth: int = 0) -> list[str]:
    lines: list[str] = []
    for name, value in found.items():
        if isinstance(value, dict) and value:
            lines += [f"{_INDENT * depth}{name}:", *_lines(value, depth + 1)]
        elif isinstance(value, list) and value and not all(isinstance(one, str) and len(one) < 30 for one in value):
            lines.append(f"{_INDENT * depth}{name}:")
            for one in value:
                told = _lines(one, depth + 2) if isinstance(one, dict) else [_INDENT * (depth + 2) + _text(one)]
                lines += [f"{_INDENT * (depth + 1)}- {told[0].strip()}", *told[1:]]
        else:
            lines.append(f"{_INDENT * depth}{name}: {_text(value)}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    if value == {} or value is None or value == "":
        return "none"
    return str(value)
