"""Advice: the parts of a report that are likely to be the matter."""

from __future__ import annotations

from .._light.hints import Any
from .._registry import everyone

_NEEDED_BESIDE = 32  # descriptors that a process needs for other things than connections


def advice(found: dict[str, Any]) -> list[str]:
    """Sentences that say what is the matter and what to do; [] if nothing is seen."""
    return [told for check in (_descriptors, _gil, _versions, _build, _turned_off) if (told := check(found))]


def _most_connections() -> int | None:
    """How many connections the open pools of this process may have at once; None: there is no limit."""
    pools = [pool.config for pool in everyone() if not pool.closed]
    if any(config.max_overflow < 0 for config in pools):
        return None
    most: int = sum(config.max_size + config.max_overflow for config in pools)
    return most


def _descriptors(found: dict[str, Any]) -> str | None:
    told = found["limits"]["descriptors"]
    most, soft = _most_connections(), told.get("soft")
    if soft is None or most == 0:
        return None
    if most is not None and most + _NEEDED_BESIDE <= soft:
        return None
    many = "any number of" if most is None else most
    return (
        f"the pools may open {many} connections, but this process may have {soft} descriptors: raise the limit "
        f"(ulimit -n, at most {told['hard'] or 'what the system allows'}), or lower max_size and max_overflow"
    )


def _gil(found: dict[str, Any]) -> str | None:
    python = found["python"]
    if python["free-threaded build"] and python["GIL"] == "on":
        return (
            "the GIL is on in a free-threaded Python: an extension that does not declare itself ready was imported, or "
            "PYTHON_GIL=1 was set; find it with -W default, or start with PYTHON_GIL=0"
        )
    return None


def _versions(found: dict[str, Any]) -> str | None:
    ours, recorded = found["fastpool"]["version"], found["fastpool"].get("metadata's version")
    if recorded not in (None, ours):
        return (
            f"the code is version {ours}, its metadata {recorded}: two installations are mixed; pip uninstall fastpool "
            "until nothing is left, then install it once"
        )
    return None


def _build(found: dict[str, Any]) -> str | None:
    build = found["build of the core"]
    slow = [what for what, is_so in (("without optimisation", not build["optimized"]),) if is_so]
    slow += [f"with the {build['sanitizer']} sanitizer"] if build["sanitizer"] else []
    slow += ["for a debug build of Python"] if build["py_debug"] else []
    return f"the core was compiled {' and '.join(slow)}: it is slower than a wheel's" if slow else None


def _turned_off(found: dict[str, Any]) -> str | None:
    off = found["private interfaces"]["turned off"]
    return f"do_without() was called for {', '.join(off)}: that is for tests, and costs time" if off else None
