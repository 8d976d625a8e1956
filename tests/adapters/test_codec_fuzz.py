"""The C parts of the codec under AddressSanitizer and UBSan: replies cut at each byte, and mutated."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from Hbase_thrift import Hbase, TCell, TColumn, TRowResult
from thriftpy2.protocol import TBinaryProtocol, TCompactProtocol
from thriftpy2.transport import TMemoryBuffer

from fastpool.adapters._thrift.codec import codec

from ._recorded import stored
from .test_codec import PROTOCOLS, Rig, call_of

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / "src" / "fastpool" / "adapters" / "_thrift" / "codec" / "c"
TARGET = Path(__file__).with_name("fuzz_codec.h")
SANITIZED = ["-x", "c", "-std=gnu11", "-O1", "-g", "-fno-sanitize-recover=all", f"-I{PARTS}"]

pytestmark = pytest.mark.skipif(not PARTS.is_dir(), reason="the tests run without the checkout around them")


def corpus(folder: Path) -> list[str]:
    """Bodies of replies in both protocols, each behind a byte that says what it is."""
    cell = TCell(b"value", 1_700_000_000_000)
    columns = {b"cf:%d" % i: cell for i in range(17)}
    in_order = [TColumn(name, one) for name, one in columns.items()]
    values = {
        "getRow": (0, [TRowResult(b"k", columns), TRowResult(b"", {})]),
        "scannerGetList": (0, [TRowResult(b"k", None, in_order), TRowResult(b"l", None, [])]),
        "getVer": (1, [cell, TCell(b"", -1)]),
        "getTableNames": (2, [b"t", b"", b"name" * 40]),
        "atomicIncrement": (0, -(2**63)),
        "scannerOpenWithScan": (0, 77),
        "isTableEnabled": (0, True),
    }
    files = []
    for name, (of, value) in values.items():
        for compact, kind in enumerate((TBinaryProtocol, TCompactProtocol)):
            memory = TMemoryBuffer()
            kind(memory).write_struct(getattr(Hbase, name + "_result")(success=value))
            path = folder / f"{name}-{compact}"
            path.write_bytes(bytes([compact | of << 1 | 5 << 3]) + memory.getvalue())
            files.append(str(path))
    return files


def built(folder: Path, compiler: str, *flags: str) -> Path:
    """The program, or a skip where the compiler has no sanitizers."""
    program = folder / "fuzz"
    command = [compiler, *SANITIZED, *flags, str(TARGET), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        missing = "cannot find" in done.stderr or "unsupported" in done.stderr
        assert missing, done.stderr
        pytest.skip(f"{compiler} has no sanitizers here: {done.stderr.splitlines()[0]}")
    return program


def run(command: list[str], within_s: float) -> None:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]


def corpus_of(folder: Path, replies: Iterable[tuple[str, bool, bytes]]) -> list[str]:
    """Files for the bodies of replies, each with its method and whether it is in the compact protocol."""
    folder.mkdir(exist_ok=True)
    kinds = {"getVer": 1, "getVerTs": 1, "getTableNames": 2}
    files = []
    for i, (name, compact, body) in enumerate(replies):
        path = folder / f"{i}-{name}"
        path.write_bytes(bytes([compact | kinds.get(name, 0) << 1 | 5 << 3]) + body)
        files.append(str(path))
    return files


def mutate(folder: Path, rounds: int, seed: int, within_s: float, files: list[str] | None = None) -> None:
    compiler = shutil.which("clang") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("neither clang nor gcc")
    program = built(folder, compiler, "-DALONE", "-fsanitize=address,undefined")
    run([str(program), str(rounds), str(seed), *(files or corpus(folder))], within_s)


def test_cut_and_mutated_replies(tmp_path: Path) -> None:
    mutate(tmp_path, 800, 1, 50)


def test_cut_and_mutated_replies_of_hbase(tmp_path: Path) -> None:
    mutate(tmp_path, 100, 1, 50, corpus_of(tmp_path, stored()))


@pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")
def test_replies_of_hbase_are_read_as_thriftpy2_reads_them() -> None:
    names = set()
    for name, compact, body in stored():
        rig = Rig(compact, False)
        if name not in rig.channel.operations:
            continue
        names.add(name)
        call_of(rig, name)
        head = rig.reply(name)[:-1]  # of an empty result: it ends with a stop
        assert rig.channel.feed(head + body) == codec.DONE, name
        protocol = PROTOCOLS[compact](TMemoryBuffer(head + body), decode_response=False)
        protocol.read_message_begin()
        result = getattr(Hbase, name + "_result")()
        protocol.read_struct(result)
        assert repr(rig.end()) == repr(getattr(result, "success", None))
    assert {"getRowWithColumns", "scannerGetList", "getVer", "atomicIncrement", "isTableEnabled"} <= names


@pytest.mark.stress
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(2, 5))
def test_many_mutated_replies(tmp_path: Path, seed: int) -> None:
    mutate(tmp_path, 100_000, seed, 300)


@pytest.mark.stress
@pytest.mark.timeout(400)
def test_libfuzzer(tmp_path: Path) -> None:
    """A minute of libFuzzer, guided by coverage, from the corpus."""
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("needs clang")
    program = built(tmp_path, clang, "-fsanitize=fuzzer,address,undefined")
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    corpus(seeds)
    corpus_of(seeds, stored())
    run([str(program), "-max_total_time=60", "-max_len=4096", str(seeds)], 300)


def test_an_overread_would_be_found(tmp_path: Path) -> None:
    """The runner's own promise: with the check of a text's length taken out, the program fails."""
    compiler = shutil.which("clang") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("neither clang nor gcc")
    for part in PARTS.glob("*.h"):
        text = part.read_text("utf-8")
        broken = text.replace("    if (wire_left(c) < n)\n        return wire_fail(c, WIRE_MORE);\n", "")
        (tmp_path / part.name).write_text(broken, "utf-8")
        assert (broken != text) == (part.name == "wire.h")
    program = built(
        tmp_path, compiler, "-DALONE", "-fsanitize=address,undefined", f"-iquote{tmp_path}", f"-I{tmp_path}"
    )
    done = subprocess.run([str(program), "1", "1", *corpus(tmp_path)], capture_output=True, timeout=50, check=False)
    assert done.returncode != 0
