"""The files around the code: workflows with least rights, templates, the changelog's fragments, the citation."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import fastpool

ROOT = Path(__file__).resolve().parent.parent
GITHUB = ROOT / ".github"
pytestmark = pytest.mark.skipif(not GITHUB.is_dir(), reason="the tests run without the checkout around them")

USES = re.compile(r"^\s*(?:- )?uses: (\S+?)@(\S+)(.*)$", re.MULTILINE)
SHA = re.compile(r"[0-9a-f]{40}")
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))


def of_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_hash_with_their_version_beside_it(path: Path) -> None:
    found = USES.findall(path.read_text(encoding="utf-8"))
    assert found
    faults = [f"{name}@{at}" for name, at, rest in found if not SHA.fullmatch(at) or not re.match(r" # v\d", rest)]
    assert faults == []


def test_an_action_has_one_hash() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for path in WORKFLOWS:
        for name, at, version in USES.findall(path.read_text(encoding="utf-8")):
            pins.setdefault(name, set()).add((at, version.strip()))
    assert {name: pinned for name, pinned in pins.items() if len(pinned) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_job_may_read_and_only_publishing_may_more(path: Path) -> None:
    workflow = of_yaml(path)
    assert workflow["permissions"] == {}, "nothing, unless a job asks for it"
    for name, job in workflow["jobs"].items():
        rights = {"id-token": "write"} if name == "publish" else {"contents": "read"}
        assert job["permissions"] in ({}, rights), name
        assert "timeout-minutes" in job, f"{name} could run for hours"
        assert all(step["with"]["persist-credentials"] is False for step in job["steps"] if "checkout" in str(step))


def test_one_job_asks_for_all_others() -> None:
    jobs = of_yaml(GITHUB / "workflows" / "test.yml")["jobs"]
    assert set(jobs["everything-passed"]["needs"]) == set(jobs) - {"everything-passed"}


def test_a_bug_report_asks_for_the_doctor_and_faults_have_a_private_way() -> None:
    fields = of_yaml(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")["body"]
    assert any("fastpool.doctor()" in str(field) and field["validations"]["required"] for field in fields)
    (link,) = of_yaml(GITHUB / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    assert link["url"].endswith("/security/advisories/new")
    assert "Report a\nvulnerability" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_what_changed_is_of_a_kind() -> None:
    kinds = [one["directory"] for one in pyproject()["tool"]["towncrier"]["type"]]
    page = (ROOT / "changes.d" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == kinds
    for path in (ROOT / "changes.d").iterdir():
        if path.name != "README.md":
            assert re.fullmatch(rf"(\d+|\+[\w-]+)\.({'|'.join(kinds)})(\.\d+)?\.md", path.name), path.name
            assert path.read_text(encoding="utf-8").strip(), f"{path.name} says nothing"
    assert "<!-- towncrier release notes start -->\n" in (ROOT / "CHANGES.md").read_text(encoding="utf-8")


def test_the_citation_is_of_this_version() -> None:
    citation = of_yaml(ROOT / "CITATION.cff")
    assert citation["version"] == fastpool.__version__
    assert citation["license"] == pyproject()["project"]["license"]
    assert citation["repository-code"] == pyproject()["project"]["urls"]["Source"]


def test_hooks_run_what_lint_runs() -> None:
    hooks = [hook for repo in of_yaml(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    wanted = pyproject()["project"]["optional-dependencies"]["lint"]
    commands = [hook["entry"].removeprefix("tools/in-venv.sh ") for hook in hooks]
    tools = {command.split()[0] for command in commands}
    assert tools == {"ruff", "mypy", "cython-lint"}
    assert tools <= {re.match(r"[\w-]+", one)[0] for one in wanted}  # type: ignore[index]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [command for command in commands if command.split(" --")[0] not in makefile] == []


def test_the_wheels_are_for_the_pythons_that_are_tested() -> None:
    built = set(re.findall(r"cp3(\d+t?)-", pyproject()["tool"]["cibuildwheel"]["build"]))
    jobs = of_yaml(GITHUB / "workflows" / "test.yml")["jobs"]
    tested = {*jobs["test"]["strategy"]["matrix"]["python"], *jobs["free-threaded"]["strategy"]["matrix"]["python"]}
    assert {f"3.{one}" for one in built} == tested
    told = {one.rpartition(" ")[2] for one in pyproject()["project"]["classifiers"] if "Python :: 3." in one}
    assert told == {one for one in tested if not one.endswith("t")}


def test_the_stability_page_names_what_is_there() -> None:
    page = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    for name in re.findall(r"`(fastpool\.[a-z_.]+[a-z])`", page):
        module = name if name != "fastpool.__all__" else "fastpool"
        program = f"import importlib.util; assert importlib.util.find_spec({module!r}) is not None"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"
