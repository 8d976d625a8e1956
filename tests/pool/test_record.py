"""Records behave as the dataclasses of equal definitions."""

import copy
import dataclasses
import inspect
import pickle
import sys

import pytest

from fastpool._light.record import dataclass, field, fields, replace


def both():
    """One class definition, made by each of the two."""
    made = []
    for decorate, one in ((dataclasses.dataclass, dataclasses.field), (dataclass, field)):

        @decorate(frozen=True, slots=True)
        class Point:
            """Where it is."""

            x: int
            y: int = 2
            tags: dict = one(default_factory=dict, hash=False)
            hidden: str = one(default="h", repr=False, compare=False)

            @property
            def total(self):
                return self.x + self.y

        @decorate(frozen=True, slots=True, kw_only=True)
        class Named:
            name: str = "n"
            size: int

            def __post_init__(self):
                object.__setattr__(self, "size", self.size + 1)

        made.append((Point, Named))
    return made


(THEIRS, THEIRS_NAMED), (OURS, OURS_NAMED) = both()


@dataclass(frozen=True, slots=True)
class Pickled:
    x: int
    y: tuple = ()


@pytest.mark.parametrize(
    "what",
    [
        lambda kind, named: repr(kind(1, tags={"a": 1})).rpartition(".")[2],
        lambda kind, named: str(inspect.signature(kind)),
        lambda kind, named: str(inspect.signature(named)),
        lambda kind, named: kind(1) == kind(1, hidden="other"),
        lambda kind, named: kind(1) != kind(2),
        lambda kind, named: kind(1) == (1, 2, {}, "h"),
        lambda kind, named: hash(kind(1, tags={"a": []})) == hash(kind(1)),
        lambda kind, named: kind(1).tags is not kind(1).tags,
        lambda kind, named: dataclasses.asdict(kind(1, 3, {"a": 1}, "s")),
        lambda kind, named: dataclasses.astuple(named(size=3)),
        lambda kind, named: [(f.name, f.repr, f.compare, f.hash, f.kw_only) for f in dataclasses.fields(kind)],
        lambda kind, named: [(f.name, f.type) for f in dataclasses.fields(named(size=1))],
        lambda kind, named: [f.default for f in dataclasses.fields(named) if f.name == "name"],
        lambda kind, named: dataclasses.is_dataclass(kind) and dataclasses.is_dataclass(kind(1)),
        lambda kind, named: dataclasses.astuple(dataclasses.replace(kind(1), y=5)),
        lambda kind, named: named(size=3).size,
        lambda kind, named: (kind.__match_args__, named.__match_args__, kind.__slots__),
        lambda kind, named: (kind.__doc__, kind(1).total, hasattr(kind(1), "__dict__")),
        lambda kind, named: dataclasses.astuple(copy.copy(kind(1, 7))),
        lambda kind, named: dataclasses.astuple(copy.deepcopy(kind(1, 7, {"a": [1]}))),
    ],
)
def test_alike(what):
    assert what(OURS, OURS_NAMED) == what(THEIRS, THEIRS_NAMED)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3, 4, 5), {}), ((1,), {"z": 1}), ((1,), {"x": 1})])
def test_what_cannot_be_made_is_a_type_error(args, kwargs):
    for kind in (OURS, THEIRS):
        with pytest.raises(TypeError):
            kind(*args, **kwargs)
    with pytest.raises(TypeError):
        OURS_NAMED("n", 3)


def test_nothing_can_be_changed():
    one = OURS(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.new = 2


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_pickled(protocol):
    assert pickle.loads(pickle.dumps(Pickled(1, (2,)), protocol)) == Pickled(1, (2,))


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace is new in 3.13")
def test_copy_replace():
    assert copy.replace(Pickled(1), y=(3,)) == Pickled(1, (3,))


def test_a_subclass_by_dataclasses_has_the_fields_of_both():
    @dataclasses.dataclass(frozen=True)
    class More(OURS):
        z: int = 0

    assert [f.name for f in dataclasses.fields(More)] == ["x", "y", "tags", "hidden", "z"]
    assert More(1, z=4).z == 4


def test_it_can_be_replaced_without_dataclasses():
    assert replace(Pickled(1), y=(3,)) == Pickled(1, (3,))
    with pytest.raises(TypeError):
        replace(Pickled(1), z=3)


def test_its_fields_can_be_had_without_dataclasses():
    assert [(f.name, f.default) for f in fields(Pickled) if f.name == "y"] == [("y", ())]
