"""Every option, its default, the values that it refuses, and the error for them."""

import copy
import dataclasses
import math
import pickle
from decimal import Decimal
from fractions import Fraction

import pytest

from fastpool._config import Config
from fastpool._core import clock, deadline_after, seconds_to_ns
from fastpool._servers import normalise_servers, server_text

DEFAULTS = {
    "max_size": 10,
    "min_size": 0,
    "order": "lifo",
    "max_overflow": 0,
    "max_idle": None,
    "timeout": 30.0,
    "max_waiting": None,
    "nested": False,
    "max_lifetime": None,
    "idle_timeout": None,
    "max_uses": None,
    "check_timeout": 5.0,
    "check_after": 0.5,
    "keepalive": None,
    "max_connecting": 2,
    "servers": None,
    "balance": "round_robin",
    "backoff": (0.1, 5.0),
    "leak_after": None,
    "listeners": (),
    "open": True,
    "name": None,
    "shared": None,
    "shared_max": None,
    "timing": False,
    "reclaim": True,
    "collect_garbage": False,
}

COUNTS = ("max_size", "min_size", "max_overflow", "max_idle", "max_waiting", "max_uses", "max_connecting")
TIMES = ("timeout", "max_lifetime", "idle_timeout", "check_timeout", "check_after", "keepalive", "leak_after")
FLAGS = ("nested", "open", "timing", "reclaim", "collect_garbage")
POSITIVE_TIMES = ("check_timeout", "max_lifetime", "idle_timeout", "keepalive", "leak_after")


def some_servers():
    return ["a:1"]


class Listener:
    def connected(self, event):
        pass


LISTENER = Listener()


def test_the_defaults_are_those_that_are_promised():
    config = Config.build()
    assert {f.name: getattr(config, f.name) for f in dataclasses.fields(config)} == DEFAULTS


def test_a_config_cannot_be_changed_nor_grow():
    config = Config.build()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_size = 3
    assert not hasattr(config, "__dict__")


def test_an_unknown_option_is_named_and_the_likely_one_offered():
    with pytest.raises(TypeError, match=r"unknown option 'max_sise'; did you mean 'max_size'\?"):
        Config.build(max_sise=3)
    with pytest.raises(TypeError, match=r"unknown option 'zzz'$"):
        Config.build(zzz=3)


@pytest.mark.parametrize("option", COUNTS)
@pytest.mark.parametrize("value", ["3", 3.0, True, False, [3], object()])
def test_a_count_is_an_integer_and_a_bool_is_none(option, value):
    with pytest.raises(TypeError) as caught:
        Config.build(**{option: value})
    assert str(caught.value).startswith(f"{option} must be an integer")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("option", "least", "most"),
    [
        ("max_size", 1, 65535),
        ("max_overflow", -1, 65535),
        ("max_idle", 0, 65535),
        ("max_waiting", 0, 2**31 - 1),
        ("max_uses", 1, 2**31 - 1),
        ("max_connecting", 1, 65535),
    ],
)
def test_the_range_of_a_count(option, least, most):
    assert getattr(Config.build(**{option: least}), option) == least
    assert getattr(Config.build(**{option: most}), option) == most
    for value in (least - 1, most + 1, 10**40):
        with pytest.raises(ValueError, match=f"{option} must be from {least} to {most}.*, not {value}$"):
            Config.build(**{option: value})


def test_the_message_of_a_count_out_of_range():
    with pytest.raises(ValueError, match=r"^max_size must be from 1 to 65535, not 0$"):
        Config.build(max_size=0)


def test_what_works_as_an_index_is_an_integer():
    class Four:
        def __index__(self):
            return 4

    config = Config.build(max_size=Four())
    assert config.max_size == 4
    assert type(config.max_size) is int


@pytest.mark.parametrize("option", ["max_size", "min_size", "max_overflow", "max_connecting", *FLAGS])
def test_none_is_not_for_every_option(option):
    with pytest.raises(TypeError, match=f"^{option} must be"):
        Config.build(**{option: None})


@pytest.mark.parametrize("option", TIMES)
@pytest.mark.parametrize("value", ["3", b"3", True, [3], object(), 3j])
def test_a_time_is_a_number(option, value):
    with pytest.raises(TypeError) as caught:
        Config.build(**{option: value})
    assert str(caught.value).startswith(f"{option} must be a number of seconds")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("option", TIMES)
@pytest.mark.parametrize(
    "value",
    [-1, -0.001, math.nan, math.inf, -math.inf, 10**400, -(10**400)],
    ids=["minus", "little", "nan", "inf", "minus_inf", "huge", "minus_huge"],
)
def test_a_time_is_finite_and_not_negative(option, value):
    with pytest.raises(ValueError, match=f"^{option} must be a number of seconds"):
        Config.build(**{option: value})


@pytest.mark.parametrize("option", TIMES)
def test_a_time_becomes_a_float_or_stays_none(option):
    assert getattr(Config.build(**{option: None}), option) is None
    for value in (3, 3.0, Fraction(3)):
        seconds = getattr(Config.build(**{option: value}), option)
        assert (type(seconds), seconds) == (float, 3.0)


@pytest.mark.parametrize("option", TIMES)
def test_zero_is_a_time_only_where_it_means_something(option):
    if option in POSITIVE_TIMES:
        with pytest.raises(ValueError, match=f"^{option} must be a number of seconds above 0 or None"):
            Config.build(**{option: 0})
    else:
        assert getattr(Config.build(**{option: 0}), option) == 0.0


@pytest.mark.parametrize("option", FLAGS)
@pytest.mark.parametrize("value", [0, 1, "yes"])
def test_a_flag_is_a_bool(option, value):
    with pytest.raises(TypeError, match=f"^{option} must be True or False, not {value!r}"):
        Config.build(**{option: value})


def test_sizes_that_contradict_each_other():
    with pytest.raises(ValueError, match=r"^min_size must be at most max_size \(10\), not 11$"):
        Config.build(min_size=11)
    with pytest.raises(ValueError, match=r"^min_size must be at most max_idle \(1\), not 2$"):
        Config.build(min_size=2, max_idle=1)
    assert Config.build(min_size=10).min_size == 10


def test_resizing_is_checked_like_building():
    config = Config.build(max_size=5, min_size=2, timeout=1)
    assert config.resized(max_size=3) == Config.build(max_size=3, min_size=2, timeout=1)
    assert config.resized() == config
    with pytest.raises(ValueError, match=r"min_size must be at most max_size \(1\), not 2"):
        config.resized(max_size=1)
    with pytest.raises(TypeError, match=r"resize\(\) takes .*, not 'timeout'"):
        config.resized(timeout=3)
    with pytest.raises(TypeError, match="max_size must be an integer, not None"):
        config.resized(max_size=None)
    assert config.max_size == 5


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (3, TypeError),
        ("ab", TypeError),
        ((None, 1), TypeError),
        (("a", 1), TypeError),
        ((1,), ValueError),
        ((1, 2, 3), ValueError),
        ((2, 1), ValueError),
        ((-1, 1), ValueError),
        ((0, math.inf), ValueError),
    ],
)
def test_what_backoff_refuses(value, error):
    with pytest.raises(error, match=r"^backoff must be"):
        Config.build(backoff=value)


def test_backoff_may_be_a_list_of_integers_and_off():
    assert Config.build(backoff=[0, 2]).backoff == (0.0, 2.0)
    assert Config.build(backoff=(0, 0)).backoff == (0.0, 0.0)


def test_balance():
    def first(servers, leased):
        return servers[0]

    for value in ("round_robin", "random", "least_leased", first):
        assert Config.build(balance=value).balance is value
    with pytest.raises(ValueError, match=r"^balance must be one of 'round_robin', .* not 'fastest'$"):
        Config.build(balance="fastest")
    with pytest.raises(TypeError, match=r"^balance must be one of .* not None"):
        Config.build(balance=None)


def test_name():
    assert Config.build(name="users").name == "users"
    with pytest.raises(TypeError, match=r"^name must be a string or None, not 3"):
        Config.build(name=3)
    with pytest.raises(ValueError, match=r"^name must not be empty"):
        Config.build(name="")


def test_listeners_become_a_tuple_and_are_looked_at():
    heard = {"connected": print}
    assert Config.build(listeners=[LISTENER, heard]).listeners == (LISTENER, heard)
    for value in (heard, "connected", None, LISTENER):
        with pytest.raises(TypeError, match=r"^listeners must be a list or tuple of listeners, not"):
            Config.build(listeners=value)
    with pytest.raises(TypeError, match="listens to nothing"):
        Config.build(listeners=[object()])


def test_equal_options_make_equal_configs_with_equal_hashes():
    def build():
        return Config.build(max_size=3, servers=["a:1"], timeout=2, listeners=[{"connected": print}])

    assert build() == build()
    assert hash(build()) == hash(build())
    assert Config.build(max_size=3) != Config.build(max_size=4)
    assert Config.build(servers=["a:1"]) != Config.build(servers=["a:2"])
    assert Config.build(listeners=[LISTENER]) != Config.build()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_config_is_pickled(protocol):
    config = Config.build(max_size=3, servers=some_servers, backoff=(1, 2), name="n", timing=True)
    there = pickle.loads(pickle.dumps(config, protocol))
    assert there == config
    assert hash(there) == hash(config)
    assert copy.deepcopy(config) == config


def test_what_was_given_makes_it_again():
    config = Config.build(max_size=3, servers=["a:1"], timeout=None)
    assert config.given() == {"max_size": 3, "servers": (("a", 1),), "timeout": None}
    assert Config.build(**config.given()) == config


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        (["a:1", "b.example:65535"], (("a", 1), ("b.example", 65535))),
        ([("a", 1), ["b", 2]], (("a", 1), ("b", 2))),
        (("[::1]:9090", ("::1", 9091)), (("::1", 9090), ("::1", 9091))),
        (["127.0.0.1:9090"] * 2, (("127.0.0.1", 9090),) * 2),
    ],
)
def test_servers_become_hosts_and_ports(servers, expected):
    assert normalise_servers(servers) == expected
    assert Config.build(servers=servers).servers == expected
    assert normalise_servers([server_text(server) for server in expected]) == expected


@pytest.mark.parametrize("servers", ["a:1", b"a:1", {"a": 1}, 3, [3], [None], [(b"a", 1)], [("a", "1")], [("a", True)]])
def test_servers_of_a_wrong_type(servers):
    with pytest.raises(TypeError, match=r"^servers"):
        Config.build(servers=servers)


@pytest.mark.parametrize(
    "servers",
    [
        *([], ()),
        *(["a"], ["a:"], [":1"], ["a:b"], ["a:-1"], ["a:0"], ["a:65536"], ["a:¹"], [" a:1"]),
        *(["::1:9090"], ["[::1]"], ["[]:1"]),
        *([("a", 0)], [("", 1)], [("a", 1, 2)], [("a",)]),
    ],
)
def test_servers_that_make_no_sense(servers):
    with pytest.raises(ValueError, match=r"^servers"):
        Config.build(servers=servers)


def test_a_callable_for_servers_is_not_called_yet():
    assert Config.build(servers=some_servers).servers is some_servers


def test_a_default_port_fills_in():
    given = ["a", "b:1", "[::1]", "[::1]:2", ("c", 3)]
    assert normalise_servers(given, 9090) == (("a", 9090), ("b", 1), ("::1", 9090), ("::1", 2), ("c", 3))


@pytest.mark.parametrize(
    ("seconds", "ns"),
    [
        *[(0, 0), (1, 10**9), (0.5, 5 * 10**8), (1e-9, 1), (1e-30, 1)],
        *[(Fraction(1, 4), 25 * 10**7), (Decimal(2), 2 * 10**9)],
        *[(None, -1), (math.inf, -1), (1e300, -1), (10**400, -1), (10**9, 10**18)],
    ],
)
def test_seconds_to_ns(seconds, ns):
    assert seconds_to_ns("timeout", seconds) == ns
    assert type(seconds_to_ns("timeout", seconds)) is int


def test_a_deadline_may_be_for_ever():
    assert deadline_after(None) == deadline_after(1e300) == math.inf
    assert 59 < deadline_after(60) - clock() <= 60


def test_seconds_to_ns_refuses_what_is_no_time_and_names_it():
    for value in (-1, -1e-9, -(10**400), -math.inf):
        with pytest.raises(ValueError, match=r"^'keepalive' must be a non-negative number of seconds or None, not -"):
            seconds_to_ns("keepalive", value)
    for value in ("x", b"1", True, [], object()):
        with pytest.raises(TypeError, match=r"^'timeout' must be a number of seconds or None, not .* \(\w+\)$"):
            seconds_to_ns("timeout", value)
    with pytest.raises(ValueError, match="not nan"):
        seconds_to_ns("timeout", math.nan)
