"""``fastpool`` and ``python -m fastpool``: demo, bench, serve and doctor."""

from __future__ import annotations

import sys

_EXTRAS = ("click", "happybase", "rich", "thriftpy2")


def main() -> None:
    """Run the command line; without what it needs beyond the package, say how to get that, and exit with 1.

    ``doctor`` needs nothing beyond the package.
    """
    if sys.argv[1:2] == ["doctor"]:
        from ._cli.doctor import run

        run(sys.argv[2:])
        return
    try:
        from ._cli.commands import cli
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        sys.exit(f"fastpool's command line needs {missing}, which is not installed: pip install 'fastpool[cli]'")
    cli(prog_name="fastpool")


if __name__ == "__main__":
    main()
