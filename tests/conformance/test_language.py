"""The runner itself: it refuses what is not in the language, and fails when an expectation is not met."""

import pytest

from tests.conformance._language import BadScenario, understand
from tests.conformance._play import Mismatch, play
from tests.conformance._stage import ThreadActor

STORY = """
- scenario: A story
  from: nowhere
  tells: of Ana and Bob
  pool: {{max_size: 1, timeout: 5}}
  connections: {connections}
  threads: [ana, bob]
  steps:
    {steps}
"""


def story(steps, connections="plain", **changes):
    text = STORY.format(steps="\n    ".join(steps.strip().splitlines()), connections=connections)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return understand(text, "here.yaml")[0]


WAITING = """
- ana: asks
  then: {ana: has c1}
- bob: {asks: {timeout: 2}}
  then: {bob: in line, stats: {waiting: 1}}
- clock: 2
  then: {bob: {raises: NoConnectionsAvailable, after: 2, phase: wait, saying: held for 2 s}, open: [c1]}
"""


@pytest.mark.parametrize("model", ["threads", "tasks"])
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("has c1", "has c1", None),
        ("has c1", "has c2", "step 1: ana: 'has c1' is not 'has c2'"),
        ("has c1", "in line", "step 1: ana: 'has c1' is not 'in line'"),
        ("has c1", "out", "step 1: ana: 'has c1' is not 'out'"),
        ("has c1", "PoolClosed", "step 1: ana: 'has c1' is not 'PoolClosed'"),
        ("bob: in line", "bob: out", "step 2: bob: 'in line' is not 'out'"),
        ("bob: in line", "bob: has a connection", "step 2: bob: 'in line' is not 'has a connection'"),
        ("bob: in line", "bob: {gave: 1}", "step 2: bob is still in line"),
        ("waiting: 1", "waiting: 2", "step 2: stats: {'waiting': 1} is not {'waiting': 2}"),
        ("clock: 2", "clock: 1.999", "step 3: bob is still in line"),
        (
            "raises: NoConnectionsAvailable",
            "raises: PoolClosed",
            "raises is 'NoConnectionsAvailable', not 'PoolClosed'",
        ),
        ("after: 2", "after: 3", "step 3: bob: after is 2.0, not 3"),
        ("phase: wait", "phase: check", "step 3: bob: phase is 'wait', not 'check'"),
        ("saying: held for 2 s", "saying: held for 3 s", "does not say 'held for 3 s'"),
        ("open: [c1]", "open: []", r"step 3: open: \['c1'\] is not \[\]"),
        ("open: [c1]", "calls: {connect: 2}", "step 3: calls: {'connect': 1} is not"),
        ("open: [c1]", "time left: [4]", "step 3: time left"),
        (
            "open: [c1]",
            "told: []",
            r"step 3: told: \[.*'checked_out', .*'wait_started', 'checkout_failed'\] is not \[\]",
        ),
        ("open: [c1]", "keeper: in check", "step 3: keeper: out is not in check"),
    ],
)
def test_a_wrong_expectation_fails(model, right, wrong, said):
    assert right in WAITING
    steps = WAITING.replace(right, wrong)
    if said is None:
        play(story(steps), model)
    else:
        with pytest.raises(Mismatch, match=said):
            play(story(steps), model)


def test_a_crowd_is_counted():
    steps = "- bob: asks\n  then: {bob: {in line: 3}}"
    with pytest.raises(Mismatch, match=r"bob: {'has a connection': 1, 'in line': 2} is not {'in line': 3}"):
        play(story(steps, **{"[ana, bob]": "[ana, bob x 3]"}), "threads")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("- ana: asks\n- ana's connect: works", "no connect of ana is held"),
        ("- check: fails", "there is none"),
        ("- c1: dies", "c1 was never opened"),
        ("- ana: asks\n- c1: dies", "c1 cannot be one that dies"),
        ("- ana: asks\n- bob: asks\n- bob: asks", "bob is busy: asks"),
        ("- ana: checks in", "ana: 'IndexError' is not 'out'"),
    ],
)
def test_what_cannot_happen_fails(steps, said):
    with pytest.raises(Mismatch, match=said):
        play(story(steps + "\n- then: {ana: out, bob: PoolClosed}"), "threads")


def test_a_pool_that_lost_something_fails_at_the_end(monkeypatch):
    """A connection that is not returned: here by an actor that loses track of it."""
    scenario = story("- ana: asks\n- ana: leaves\n  then: {ana: out}")

    async def forgets(actor):
        actor.kept = actor.leases.pop()
        actor._had(actor.connections[-1])

    monkeypatch.setattr(ThreadActor, "leaves", forgets)
    with pytest.raises(AssertionError, match="late-0 is in line"):
        play(scenario, "threads")


GOOD = "- ana: asks\n  then: {ana: has c1}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tells:": "tell:"}, r"nobody knows \['tell'\]"),
        ({"from:": "regresion: 1\n  from:"}, r"nobody knows \['regresion'\]"),
        ({"  tells: of Ana and Bob\n": ""}, r"\['tells'\] must be said"),
        ({"tells:": "from: there\n  tells:"}, "'from' is there twice"),
        ({"connections: plain": "connections: plane"}, "'plane' is none of"),
        ({"connections: plain": "concurrency: [greenlets]"}, "'greenlets' is none of"),
        ({"[ana, bob]": "[ana, ana]"}, "'ana' cannot take part"),
        ({"[ana, bob]": "[stats]"}, "'stats' cannot take part"),
        ({"ana: asks": "eve: asks"}, "unknown actor 'eve'"),
        ({"ana: asks": "ana: sks"}, "ana cannot 'sks'"),
        ({"ana: asks": "ana: {asks: {time: 1}}"}, r"nobody knows \['time'\]"),
        ({"ana: asks": "ana: {leaves: {raising: Failures}}"}, "'Failures' is none of"),
        ({"ana: asks": "connect: hangs"}, "'hangs' is none of"),
        ({"ana: asks": "ana's connect: is held"}, "'is held' is none of"),
        ({"ana: asks": "eve's connect: works"}, "unknown actor"),
        ({"ana: asks": "clock: soon"}, "seconds are wanted"),
        ({"ana: asks": "c1: sleeps"}, "'sleeps' is none of"),
        ({"ana: asks": "a:1: dies"}, "'dies' is none of"),
        ({"ana: asks": "ana: asks\n      bob: asks"}, "one thing happens at a time"),
        ({"then:": "than:"}, "one thing happens at a time"),
        ({"{ana: has c1}": "{eve: has c1}"}, r"nobody knows \['eve'\]"),
        ({"{ana: has c1}": "{ana: has}"}, "nobody can be 'has'"),
        ({"{ana: has c1}": "{ana: in trouble}"}, "nobody can be 'in trouble'"),
        ({"{ana: has c1}": "{ana: {raise: Failure}}"}, r"nobody knows \['raise'\]"),
        ({"{ana: has c1}": "{ana: {raises: Fail}}"}, "'Fail' is none of"),
        ({"{ana: has c1}": "{stats: {lesed: 1}}"}, r"nobody knows \['lesed'\]"),
        ({"{ana: has c1}": "{stats: {closed: {ded: 1}}}"}, r"nobody knows \['ded'\]"),
        ({"{ana: has c1}": "{calls: {conect: 1}}"}, r"nobody knows \['conect'\]"),
        ({"{ana: has c1}": "{told: [checkedout]}"}, "'checkedout' is none of"),
        ({"{ana: has c1}": "{open: c1}"}, "a list is wanted"),
        ({"{ana: has c1}": "{open: [d1]}"}, "connections are wanted"),
        ({"\n      then: {ana: has c1}": ""}, "nothing is expected"),
    ],
)
def test_what_is_not_in_the_language_is_refused(change, said):
    with pytest.raises(BadScenario, match=said):
        story(GOOD, **change)


def test_an_option_that_no_pool_has_is_refused():
    with pytest.raises(TypeError, match="max_sise"):
        play(story(GOOD, max_size="max_sise"), "threads")


def test_a_good_story_is_understood():
    scenario = story(GOOD)
    assert (scenario.actors, [step.verb for step in scenario.steps]) == ({"ana": 0, "bob": 0}, ["asks"])
    play(scenario, "threads")
    play(scenario, "tasks")
