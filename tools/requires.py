"""Print what pyproject.toml says the build needs, one requirement a line."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text())
print("\n".join(project["build-system"]["requires"]))
