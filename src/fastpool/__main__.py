"""``fastpool`` and ``python -m fastpool``: demo, bench and serve."""

from __future__ import annotations

import sys

_EXTRAS = ("click", "happybase", "rich", "thriftpy2")


def main() -> None:
    """Run the command line; without what it needs beyond the package, say how to get that, and exit with 1."""
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
