"""Borrow + return without Python: fastpool's core beside HikariCP, r2d2 and deadpool, from native threads.

    python bench/native/run.py [--rounds N] [--json FILE]

Builds everything under .cache (a C compiler and Cython; Java 17 and Maven; Rust), then measures in turns and prints one
table: ns per operation of all 1, 2 and 8 threads on 8 connections that cost nothing, and the longest wait of 64 threads
that hold each of 8 connections for 1 ms, as a multiple of the ideal: what each would wait if they took exact turns at
the same throughput. A second table says what it would cost to release the GIL around the core's two operations, called
from Python. Candidates whose tool is missing are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import runpy
import shlex
import shutil
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gil

from fastpool._cli.compare.findings import environment
from fastpool._cli.compare.tables import environment_line

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / ".cache" / "bench-native"
CONNECTIONS, WAITERS = 8, 64
THREADS = (1, 2, 8)
CYCLE_MS, FAIR_MS = 400, 1500

Ask = Callable[[str, int, int], list[str]]  # (cycle or fair, threads, ms) -> the command


def run(command: list[str], folder: Path = WORK, **env: str) -> str:
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)} failed ({done.returncode}):\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def build_fastpool() -> dict[str, Ask]:
    """The core's own parts and a driver, compiled as the extension is, and linked to libpython for its locks only."""
    c, program = WORK / "fastpool.c", WORK / "fastpool"
    directives = runpy.run_path(str(ROOT / "setup.py"), run_name="recipe")["DIRECTIVES"]
    options = [f"-X{key}={value}" for key, value in directives.items()]
    source = str(HERE / "fastpool" / "driver.pyx")
    run([sys.executable, "-m", "cython", "-3", *options, "-I", "src", "-o", str(c), source], ROOT)
    cc = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    library = str(sysconfig.get_config_var("LIBDIR"))
    flags = ["-O2", "-std=gnu11", "-fno-strict-aliasing", "-w", "-Dprogram_main=main", "-pthread"]
    include = ["-I", str(ROOT / "src/fastpool/_core/c"), "-I", sysconfig.get_path("include")]
    link = [f"-L{library}", f"-Wl,-rpath,{library}", f"-lpython{sysconfig.get_config_var('LDVERSION')}", "-lm"]
    run([*cc, *flags, *include, str(c), "-o", str(program), *link])
    return {"fastpool's core": lambda what, threads, ms: [str(program), what, str(threads), str(ms)]}


def build_rust() -> dict[str, Ask]:
    folder = fresh("rust")
    run(["cargo", "build", "--release", "--quiet"], folder, CARGO_TARGET_DIR=str(WORK / "rust-target"))
    program = str(WORK / "rust-target" / "release" / "candidates")

    def ask(pool: str) -> Ask:
        return lambda what, threads, ms: [program, pool, what, str(threads), str(ms)]

    return {"r2d2": ask("r2d2"), "deadpool": ask("deadpool")}


def build_hikari() -> str:
    """The class path."""
    folder = fresh("hikari")
    run(["mvn", "-q", "-B", "compile", "dependency:copy-dependencies"], folder)
    return f"{folder}/target/classes{os.pathsep}{folder}/target/dependency/*"


def fresh(name: str) -> Path:
    """A copy of the sources, because the tools write beside them."""
    return Path(shutil.copytree(HERE / name, WORK / name, dirs_exist_ok=True))


def ns_per_operation(command: list[str]) -> float:
    operations, elapsed = (int(word) for word in run(command).split()[:2])
    return elapsed / operations


def hikari_cycles(path: str, threads: int) -> dict[str, float]:
    """JMH's own measurement of the pool and of its bag."""
    table = WORK / "jmh.csv"
    how = shlex.split("-f 1 -wi 3 -w 500ms -i 5 -r 400ms -bm thrpt -tu us -rf csv")
    run(["java", "-cp", path, "org.openjdk.jmh.Main", *how, "-rff", str(table), "-t", str(threads)])
    with table.open() as file:
        scores = {row["Benchmark"].rsplit(".", 1)[1]: float(row["Score"]) for row in csv.DictReader(file)}
    return {"HikariCP": 1000 / scores["pool"], "its ConcurrentBag": 1000 / scores["bag"]}


def unfairness(command: list[str]) -> float:
    """The longest wait over the wait of exact turns at the throughput that was reached."""
    operations, elapsed, longest = (int(word) for word in run(command).split())
    return longest / ((WAITERS - CONNECTIONS) * elapsed / operations)


def measure(rounds: int) -> dict[str, Any]:
    """All figures, as JSON can hold them."""
    WORK.mkdir(parents=True, exist_ok=True)
    surroundings = environment()
    asks = build_fastpool()
    missing = []
    if shutil.which("cargo"):
        asks |= build_rust()
    else:
        missing.append("r2d2, deadpool: no cargo")
    hikari = None
    if shutil.which("java") and shutil.which("mvn"):
        hikari = build_hikari()
    else:
        missing.append("HikariCP: no java or mvn")

    found: dict[str, dict[int, list[float]]] = {}
    for threads in THREADS:
        for _ in range(rounds):
            for name, ask in asks.items():
                ns = ns_per_operation(ask("cycle", threads, CYCLE_MS))
                found.setdefault(name, {}).setdefault(threads, []).append(ns)
        if hikari:
            for name, ns in hikari_cycles(hikari, threads).items():
                found.setdefault(name, {})[threads] = [ns]
    waits = {name: max(unfairness(ask("fair", WAITERS, FAIR_MS)) for _ in range(2)) for name, ask in asks.items()}
    if hikari:
        command = ["java", "-cp", hikari, "bench.Fair", str(WAITERS), str(FAIR_MS)]
        waits["HikariCP"] = max(unfairness(command) for _ in range(2))
    pools = [
        {"name": name, "ns": [statistics.median(by_threads[n]) for n in THREADS], "longest_wait": waits.get(name)}
        for name, by_threads in found.items()
    ]
    costs = [{"threads": n, **gil.cost(n, rounds)} for n in (1, 2)]
    return {"environment": surroundings, "threads": THREADS, "pools": pools, "gil": costs, "missing": missing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    given = parser.parse_args()
    report = measure(given.rounds)
    print(
        f"{'ns per borrow + return (all)':32}"
        + "".join(f"{f'{n} threads':>12}" for n in report["threads"])
        + f"{'longest wait':>16}"
    )
    for pool in report["pools"]:
        wait = f"{pool['longest_wait']:.1f} x ideal" if pool["longest_wait"] else "-"
        print(f"{pool['name']:32}" + "".join(f"{ns:12.1f}" for ns in pool["ns"]) + f"{wait:>16}")
    print("\nns per checkout + checkin of the core, called from Python, beyond an empty call")
    for cost in report["gil"]:
        kept, released = cost["kept"], cost["released"]
        print(f"{cost['threads']} threads: {kept:.0f} with the GIL, {released:.0f} letting it go and taking it again")
    print(f"{environment_line(report['environment'])}: do not quote a busy machine")
    for line in report["missing"]:
        print(f"left out: {line}")
    if given.json:
        given.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
