"""Rules for the repository: modules import downwards, files stay short, public names are documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from inspect import isfunction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "fastpool"
CORE = SRC / "_core" / "core.pyi"  # the compiled module
PYX_IMPORT = re.compile(r"^ *(from \.+[\w.]* import (?:.*\\\n)*.*\n)", re.MULTILINE)
pytestmark = pytest.mark.skipif(not SRC.is_dir(), reason="the tests run without the checkout around them")

# The floors of CONTRIBUTING.md, by the beginning of a module's name: a module imports from its own floor or from below.
FLOORS: list[set[str]] = [
    {"_light", "_version"},
    {"_config", "_core", "_driver", "_errors", "_options", "_servers", "_shared", "_telemetry"},
    {
        "_async",
        "_base",
        "_connecting",
        "_doctor",
        "_keeper",
        "_pool",
        "_registry",
        "_shared.asking",
        "_shared.reading",
        "_shared.sharing",
        "_telemetry.report",
    },
    {"adapters", "aio", "drivers", "metrics", "testing"},
    {"__init__"},
    {"__main__", "_cli"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
KNOWS_HBASE = FLOOR["adapters"]
FACADE = FLOOR["__init__"]  # the package itself, which only modules above it may import
LONGEST = {".py": 350, ".pyx": 450, ".pxi": 350, ".pxd": 250, ".h": 250}
LONGEST_TEST = 400
LONGEST_FUNCTION = 60
LONGEST_TEST_PYX = 500  # the probe: one function per part that it drives, independent of each other
CODE = {".py", ".pyx", ".pxi", ".pxd", ".h", ".sh"}
# one letter in brackets, so that this file does not match its own patterns
UNFINISHED = re.compile("TOD[O]|FIXM[E]|XX[X]|for [n]ow|simplifie[d]|placeholde[r]")
HOSTS = r"pypi\.o[r]g|pythonhoste[d]|repo\.m[a]ven|crates\.i[o]|proxy\.golan[g]|deb\.debia[n]|registry\.npmj[s]"
FOLDERS = r"/roo[t]/|/wor[k]/|/home/\w|bash_job[s]|\.pyenv/versions/\d"
ELSEWHERE = re.compile(f"{HOSTS}|{FOLDERS}")
PUBLIC = {
    "AllServersUnavailable",
    "AsyncLease",
    "AsyncPool",
    "ConnectionPool",
    "Driver",
    "Histogram",
    "Lease",
    "LeaseError",
    "LeaseInfo",
    "NoConnectionsAvailable",
    "Pool",
    "PoolClosed",
    "PoolDeadlock",
    "PoolError",
    "PoolOptions",
    "PoolOverloaded",
    "ProcessStats",
    "Stats",
    "__version__",
    "doctor",
    "get_pool",
    "install",
    "uninstall",
}
HEAVY = ("asyncio", "happybase", "thriftpy2", "gevent", "eventlet", "greenlet", "rich", "click", "prometheus_client")


def files() -> list[Path]:
    """Every file of the project: tracked by git, or untracked and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: which files are the project's own is not known")
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def module(path: Path) -> str:
    """The dotted name below fastpool of a source file's module; an __init__.py has its package's name."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def floor(name: str) -> int:
    """The floor of a module; FACADE if FLOORS does not list it."""
    while name not in FLOOR and "." in name:
        name = name.rpartition(".")[0]
    return FLOOR.get(name, FACADE)


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, also inside functions; relative ones made absolute.

    Imports for type checkers count, too, because a reader of the module needs them. Of the compiled module both are
    counted, its stub's imports and those of the parts that it includes.
    """
    package = ["fastpool", *path.relative_to(SRC).parts[:-1]]
    if path == CORE:
        parts = [path.with_suffix(".pyx"), *path.parent.rglob("*.pxi")]
        text = path.read_text(encoding="utf-8") + "".join(PYX_IMPORT.findall("".join(map(Path.read_text, parts))))
    else:
        text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules_imported(path: Path) -> set[str]:
    """The modules of fastpool that a file imports, and the packages that contain these, other than its own."""
    known = {module(other) for other in python_files()}
    found = set()
    for name in imports(path):
        first, _, rest = name.partition(".")
        while first == "fastpool" and rest and rest not in known:
            rest = rest.rpartition(".")[0]
        if first == "fastpool" and rest:
            found.add(rest)
            found |= {rest[:end] for end, letter in enumerate(rest) if letter == "." and not inside(path, rest[:end])}
    return found - {module(path)}


def inside(path: Path, package: str) -> bool:
    return f"{module(path)}.".startswith(f"{package}.")


def python_files() -> list[Path]:
    return [*(path for path in sorted(SRC.rglob("*.py")) if path != SRC / "__init__.py"), CORE]


def test_every_module_has_a_floor() -> None:
    assert [module(path) for path in python_files() if floor(module(path)) == FACADE] == []


def test_modules_import_downwards_only() -> None:
    faults = [
        f"{path.relative_to(ROOT)} (floor {floor(module(path))}) imports {other} (floor {floor(other)})"
        for path in python_files()
        for other in modules_imported(path)
        if floor(other) > floor(module(path))
    ]
    assert faults == []


def test_no_modules_import_each_other() -> None:
    graph = {module(path): modules_imported(path) for path in python_files()}
    assert len(graph) > 100 and "_errors" in graph["_core.core"] and "_core.core" in graph["_core"], "it sees them"
    assert circle_in(graph) == []


def test_a_circle_is_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """A circle of imports, as the path back to its first module; [] if there is none."""
    over: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in over:
            for other in sorted(graph.get(name, ())):
                if found := walk(other, [*way, name]):
                    return found
            over.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def test_nothing_below_the_adapters_knows_what_hbase_is() -> None:
    faults = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in python_files()
        if floor(module(path)) < KNOWS_HBASE
        for name in imports(path)
        if name.split(".")[0] in ("happybase", "thriftpy2", "Hbase_thrift", "aiohappybase")
    ]
    assert faults == []


def test_c_parts_cimport_only_c_parts() -> None:
    faults = []
    for path in sorted(SRC.joinpath("_core", "c").glob("*.pxd")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if (
                re.match(r"\s*(from|c?import)\b", line)
                and "cimport" in line
                and "fastpool" in line
                and "fastpool._core.c" not in line
            ):
                faults.append(f"{path.name}: {line.strip()}")
    assert faults == []


def test_the_entries_of_the_package_are_those_that_were_decided() -> None:
    there = {path.relative_to(SRC).parts[0] for path in files() if path.is_relative_to(SRC)}
    [decision] = (ROOT / "docs" / "decisions").glob("0055-*.md")
    text = decision.read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    decided = [name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(decided) == sorted(there)
    assert f"has {len(there)} entries" in text


def test_no_file_is_too_long() -> None:
    faults = []
    for path in files():
        in_tests = path.is_relative_to(ROOT / "tests") or path.is_relative_to(ROOT / "bench")
        longest = LONGEST.get(path.suffix)
        if in_tests:
            longest = {".py": LONGEST_TEST, ".pyx": LONGEST_TEST_PYX}.get(path.suffix, longest)
        if longest is not None and (n := len(path.read_text(encoding="utf-8").splitlines())) > longest:
            faults.append(f"{path.relative_to(ROOT)}: {n} lines, {longest} at most")
    assert faults == []


def long_functions(text: str) -> list[str]:
    """The functions of a Python file that are too long, with the number of their lines."""
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [f"{name}: {n} lines, {LONGEST_FUNCTION} at most" for name, n in lengths if n > LONGEST_FUNCTION]


def test_no_python_function_is_too_long() -> None:
    paths = [path for path in files() if path.suffix == ".py" and not path.is_relative_to(ROOT / "tests")]
    assert ROOT / "bench" / "publish.py" in paths and SRC / "_config.py" in paths
    faults = [
        f"{path.relative_to(ROOT)}: {fault}" for path in paths for fault in long_functions(path.read_text("utf-8"))
    ]
    assert faults == []


def test_a_function_that_is_too_long_is_found() -> None:
    body = "    pass\n" * LONGEST_FUNCTION
    assert long_functions(f"async def f():\n{body}def g():\n{body[9:]}") == ["f: 61 lines, 60 at most"]


@pytest.mark.parametrize(
    ("pattern", "suffixes"),
    [pytest.param(UNFINISHED, CODE, id="nothing-left-undone"), pytest.param(ELSEWHERE, None, id="no-other-machine")],
)
def test_words_that_do_not_belong(pattern: re.Pattern[str], suffixes: set[str] | None) -> None:
    faults = []
    for path in files():
        if suffixes is not None and path.suffix not in suffixes:
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        faults += [
            f"{path.relative_to(ROOT)}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if pattern.search(line)
        ]
    assert faults == []


def test_the_public_names_are_these() -> None:
    import fastpool

    assert set(fastpool.__all__) >= PUBLIC
    assert list(fastpool.__all__) == sorted(fastpool.__all__), "a sorted list is one in which nothing hides"
    for name in fastpool.__all__:
        assert hasattr(fastpool, name), f"fastpool.__all__ has {name}, fastpool does not"


def test_the_two_pools_are_siblings() -> None:
    import fastpool

    pool, async_pool = (
        [n for n, v in vars(kind).items() if isfunction(v)] for kind in (fastpool.Pool, fastpool.AsyncPool)
    )
    assert fastpool.Pool.__bases__[0] is fastpool.AsyncPool.__bases__[0]
    assert [name for name in pool if name in async_pool] == [name for name in async_pool if name in pool], "the order"
    assert not hasattr(fastpool.AsyncPool, "__enter__") and not hasattr(fastpool.Pool, "__aenter__")


def test_every_public_name_is_documented() -> None:
    import fastpool

    told = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
    public = [name for name in fastpool.__all__ if not name.startswith("__")]
    assert [name for name in public if not re.search(rf"\b{name}\b", told)] == [], "neither in the README nor in docs/"
    faults = [name for name in public if not getattr(fastpool, name).__doc__]
    for name in public:
        thing = getattr(fastpool, name)
        if isinstance(thing, type):
            members = {k: getattr(thing, k) for k in dir(thing) if not k.startswith("_")}
            faults += [f"{name}.{k}" for k, v in members.items() if callable(v) and not v.__doc__]
    assert faults == [], "public, but without a docstring"


def test_importing_fastpool_imports_nothing_heavy() -> None:
    program = f"import sys, fastpool; print(*[n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
