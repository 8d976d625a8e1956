"""Print the requirements in pyproject.toml of the build and of the given extras, one per line.

They are installed before fastpool itself is built, without isolation, in the same environment: so an edit of the core
is compiled by the tools that are installed. If pip resolved the extras, they would be built without isolation, too.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# gevent and trustme need cffi, and cffi and psycopg's binary have nothing for the free-threaded 3.13: their tests skip
# themselves
LACKING = (
    {"green", "servers"} if sysconfig.get_config_var("Py_GIL_DISABLED") and sys.version_info < (3, 14) else set[str]()
)


def requirements(project: dict[str, Any], extra: str) -> Iterator[str]:
    """The requirements of an extra; fastpool's own extras among them are resolved."""
    for requirement in project["optional-dependencies"][extra]:
        own = re.fullmatch(re.escape(project["name"]) + r"\[(.+)\]", requirement)
        if own is None:
            yield requirement
        else:
            for name in own[1].split(","):
                yield from requirements(project, name.strip())


def main(extras: list[str]) -> None:
    pyproject = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text(encoding="utf-8"))
    needed = list(pyproject["build-system"]["requires"])
    for extra in extras:
        if extra not in LACKING:
            needed += requirements(pyproject["project"], extra)
    print("\n".join(dict.fromkeys(needed)))


if __name__ == "__main__":
    main(sys.argv[1:])
