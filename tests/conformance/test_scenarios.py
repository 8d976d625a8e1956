"""Every scenario of the YAML files here, with threads and with tasks; and every regression of the list has a
scenario."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tests.conformance._language import scenarios
from tests.conformance._play import play

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SCENARIOS = list(scenarios(HERE))
ELSEWHERE = yaml.safe_load((HERE / "elsewhere.yaml").read_text(encoding="utf-8"))
REGRESSIONS = range(1, 35)  # defects found in twenty other pools, numbered when they were collected


@pytest.mark.parametrize(
    ("scenario", "model"),
    [pytest.param(s, model, id=f"{model}: {s.name}") for s in SCENARIOS for model in s.concurrency],
)
def test_scenario(scenario, model):
    play(scenario, model)


def test_no_two_stories_have_one_name():
    names = [scenario.name for scenario in SCENARIOS]
    assert sorted(names) == sorted(set(names))


def test_every_regression_is_a_scenario_or_told_elsewhere():
    told = {s.regression for s in SCENARIOS if s.regression} | {one["regression"] for one in ELSEWHERE}
    assert told == set(REGRESSIONS)


@pytest.mark.parametrize("one", ELSEWHERE, ids=lambda one: str(one["regression"]))
def test_what_is_told_elsewhere_is_there(one):
    assert set(one) == {"regression", "from", "why", "tests"}
    for test in one["tests"]:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = [node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        assert any(fnmatch(function, name) for function in functions), f"{test} is not there"
