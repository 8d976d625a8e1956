"""Versions: of fastpool and how it was built, of Python, of the libraries that pools are used with."""

from __future__ import annotations

import json
import platform
import re
import sys
import sysconfig
from importlib import metadata

from .._core import built_with, private_in_use, private_known
from .._core.compat import private_of_python, without
from .._light.hints import Any
from .._version import __version__

_TOOLS = {"bench", "dev", "docs", "lint", "ship", "stress", "test"}  # extras for working on fastpool itself
_REQUIREMENT = re.compile(r"([\w.-]+).*?(?:;.*\bextra\s*==\s*['\"]([\w.-]+)['\"])?\s*$")


def fastpool() -> dict[str, Any]:
    """Its version, and how it was installed."""
    found: dict[str, Any] = {"version": __version__}
    try:
        distribution = metadata.distribution("fastpool")
    except metadata.PackageNotFoundError:
        return found | {"installed": "not installed: imported from a folder of sources"}
    direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    if direct.get("dir_info", {}).get("editable"):
        how = "editable"
    elif "vcs_info" in direct or "dir_info" in direct:
        how = "built from sources"
    else:
        how = "wheel"
    tags = re.findall(r"^Tag: (\S+)$", distribution.read_text("WHEEL") or "", re.MULTILINE)
    return found | {"installed": how, "metadata's version": distribution.version, "wheel's tags": tags}


def build() -> dict[str, Any]:
    """The Cython, the compiler and the settings that the core was built with."""
    return built_with()


def python() -> dict[str, Any]:
    """The interpreter, and what changes how it runs threads."""
    gil = getattr(sys, "_is_gil_enabled", None)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
        "free-threaded build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "GIL": "on" if gil is None or gil() else "off",
        "debug build": hasattr(sys, "gettotalrefcount"),
        "development mode": sys.flags.dev_mode,
        "switch interval": sys.getswitchinterval(),
        "traced or profiled": sys.gettrace() is not None or sys.getprofile() is not None,
    }


def _wanted() -> list[str]:
    """The libraries of fastpool's extras, but for those that only its developers need."""
    try:
        required = metadata.requires("fastpool") or []
    except metadata.PackageNotFoundError:
        return []
    names = set()
    for one in required:
        found = _REQUIREMENT.match(one)
        if found and found[2] not in _TOOLS and found[1].lower() != "fastpool":
            names.add(found[1])
    return sorted(names, key=str.lower)


def libraries() -> dict[str, str]:
    """Library → version, of those that fastpool's extras name and that are installed."""
    loaded = {name.partition(".")[0] for name in list(sys.modules)}
    imports = metadata.packages_distributions()
    in_use = {distribution.lower() for top in loaded for distribution in imports.get(top, ())}
    found = {}
    for name in _wanted():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = f"{version}, imported" if name.lower() in in_use else version
    return found


def private_interfaces() -> dict[str, list[str]]:
    """The private interfaces of docs/compat.md: in use; not in use (a fallback is, or nobody needed it); turned off."""
    used = private_in_use() | private_of_python()
    return {
        "in use": sorted(used - without),
        "not in use": sorted(private_known() - used - without),
        "turned off": sorted(without),
    }
