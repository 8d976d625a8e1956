"""Checks the sdist and the wheels in dist/ by packaging tools: twine, check-wheel-contents, pyroma; and the metadata.

python -m tools.ship_check [DIR]
"""

from __future__ import annotations

import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from tools.contents import relative_addresses
from tools.wheels import ROOT, call, expect_none

# There is no address of the founders that could be given: issues, and the private way of SECURITY.md, reach them.
SKIPPED = "AuthorEmail"
WANTED = {
    "License-Expression": "MIT",
    "License-File": "LICENSE",
    "Requires-Python": ">=3.11",
    "Description-Content-Type": "text/markdown",
}


def metadata_faults(wheel: Path) -> list[str]:
    """The faults in a wheel's metadata: values other than WANTED, a license beside the SPDX expression, needs, and
    addresses in the description that need files beside it."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        found = HeaderParser().parsestr(archive.read(name).decode())
    faults = [f"{name}: {found[name]!r}, not {value!r}" for name, value in WANTED.items() if found[name] != value]
    faults += [one for one in found.get_all("Classifier", []) if one.startswith("License ::")]
    faults += [f"not a whole address: {one}" for one in relative_addresses(str(found.get_payload()))]
    needed = [one for one in found.get_all("Requires-Dist", []) if "extra ==" not in one]
    return faults + [f"needs {one}: fastpool alone needs nothing" for one in needed]


def main() -> None:
    dist = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    sdists, wheels = sorted(dist.glob("*.tar.gz")), sorted(dist.glob("*.whl"))
    if not sdists or not wheels:
        sys.exit(f"{dist} has {len(sdists)} sdists and {len(wheels)} wheels; `make wheels` builds them")
    python = Path(sys.executable)
    call([python, "-m", "twine", "check", "--strict", *sdists, *wheels])
    call([python.parent / "check-wheel-contents", *wheels])
    call([python.parent / "pyroma", "--min=10", f"--skip-tests={SKIPPED}", "."], cwd=ROOT)
    for wheel in wheels:
        expect_none(wheel, metadata_faults(wheel))
    print(
        f"{len(sdists)} sdist, {len(wheels)} wheels: twine, check-wheel-contents, pyroma and the metadata are content"
    )


if __name__ == "__main__":
    main()
