"""The command line, run as users run it: in a process of its own."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import happybase
import pytest

WITHIN = 50


def fastpool(*arguments, code=0, **environment):
    """Run `python -m fastpool …` to its end and give what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "fastpool", *arguments],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def without(tmp_path, missing, *arguments):
    """Run `fastpool …` in a process to which some modules seem not to be installed."""
    script = tmp_path / "run.py"
    hide = f"import sys\nsys.modules.update(dict.fromkeys({missing!r}))\n"
    script.write_text(hide + "from fastpool.__main__ import main\nmain()\n")
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=WITHIN)


def check_demo(found):
    """The checks of the demo's JSON, on any machine."""
    theirs, ours = found["sides"]
    assert (theirs["name"], ours["name"]) == ("happybase.ConnectionPool", "fastpool.ConnectionPool")
    assert theirs["after_interruption"] == {"asked": "other", "got": "first"}
    assert ours["after_interruption"] == {"asked": "other", "got": "other"}
    for side in (theirs, ours):
        assert side["checkout_ns"] > 0
        assert side["scan_s"] > 0
        for load in ("8_on_8", "64_on_8"):
            assert side[load]["ops_per_s"] > 0
            assert 0 < side[load]["longest_wait_s"] < 30
            assert side[load]["fewest"] <= side[load]["mean"]
    assert found["checkout"]["times"] > 1
    assert found["environment"]["python"]


def test_the_demo_compares_both_pools(tmp_path):
    to = tmp_path / "found.json"
    done = fastpool("demo", "--seconds", "0.5", "--plain", "--json", str(to))
    assert "\x1b[" not in done.stdout, "colours without a terminal"
    lines = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert "× faster" in lines["one checkout + checkin, alone"]
    assert "× faster" in lines["a scan of 1,000 rows: the client's processor time"]
    for what in ("8 threads on 8 connections: operations/s", "64 threads on 8 connections: operations/s"):
        assert "×" in lines[what]
    assert "mean" in lines["64 on 8: operations of the thread that got fewest"]
    interrupted = lines["a call is interrupted; then row(b'other') gives"]
    assert "somebody else's reply" in interrupted.split("│")[2]
    assert interrupted.split("│")[3].strip() == "'other'"
    check_demo(json.loads(to.read_text()))


def test_the_demo_draws_on_a_terminal_while_json_goes_to_stdout():
    done = fastpool("demo", "--seconds", "0.5", "--json", FORCE_COLOR="1", TERM="xterm", COLUMNS="140")
    assert "\x1b[" in done.stderr
    assert "One load, two pools" in done.stderr
    check_demo(json.loads(done.stdout))


def test_bench_asks_what_it_is_told_to(tmp_path):
    to, picture = tmp_path / "found.json", tmp_path / "found.png"
    draw = ["--plot", str(picture)] if importlib.util.find_spec("matplotlib") else []
    done = fastpool("bench", "--quick", "--only", "cycle", "--only", "nested", "--json", str(to), *draw)
    assert "happybase.ConnectionPool" in done.stdout
    if draw:
        assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(to.read_text())["findings"]
    assert {row["question"] for row in found} == {"checkout + checkin", "nested checkout"}
    rows = {(row["what"], row["base"]): row for row in found if row["question"] == "checkout + checkin"}
    against_happybase = rows["happybase.ConnectionPool", "fastpool.ConnectionPool"]
    assert against_happybase["value"] > 1
    assert against_happybase["verdict"] in ("reached", "missed")
    assert rows["queue.LifoQueue", "fastpool.Pool"]["figures"]["rounds"] >= 2
    for row in found:
        assert (row["value"] is None) == (row["missing"] is not None), row


def test_bench_leaves_out_what_is_not_installed(tmp_path):
    """The process seems to have neither SQLAlchemy nor redis-py."""
    done = without(tmp_path, ("sqlalchemy", "redis"), "bench", "--quick", "--only", "cycle", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["what"]: row for row in json.loads(done.stdout)["findings"]}
    for name in ("SQLAlchemy QueuePool", "redis-py ConnectionPool"):
        assert rows[name]["missing"] == "not installed"
        assert rows[name]["value"] is None
    assert rows["queue.LifoQueue"]["value"] > 1


def test_bench_has_nothing_to_draw_without_the_comparison(tmp_path):
    pytest.importorskip("matplotlib")
    done = fastpool("bench", "--quick", "--only", "nested", "--plot", str(tmp_path / "found.png"), code=1)
    assert "nothing to draw" in done.stderr


@pytest.fixture
def serving():
    """Starts `fastpool serve …` and returns the process and its first line; stops it at the end."""
    running = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "fastpool", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        running.append(process)
        alarm = threading.Timer(WITHIN, process.kill)
        alarm.daemon = True
        alarm.start()
        return process, process.stdout.readline()

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_serves_until_it_is_told_to_stop(serving, number):
    process, first = serving("--port", "0", "--protocol", "compact", "--transport", "framed")
    port = int(first.partition("127.0.0.1:")[2].partition(",")[0])
    connection = happybase.Connection("127.0.0.1", port, protocol="compact", transport="framed", timeout=5000)
    connection.create_table("t", {"f": {}})
    connection.table("t").put(b"r", {b"f:q": b"v"})
    assert connection.table("t").row(b"r") == {b"f:q": b"v"}
    connection.close()
    process.send_signal(number)
    assert process.wait(WITHIN) == 0
    assert "ended" in process.stdout.read()


def test_serve_says_why_it_cannot_listen():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fastpool("serve", "--port", str(port), code=1)
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extras_it_says_what_to_install(missing, tmp_path):
    done = without(tmp_path, (missing,), "demo")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"fastpool's command line needs {missing}, which is not installed: pip install 'fastpool[cli]'"
    )


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_without_happybase_it_says_what_to_install(command, tmp_path):
    done = without(tmp_path, ("happybase",), command)
    assert done.returncode == 1
    assert "pip install 'fastpool[cli]'" in done.stderr


def test_help_and_version():
    import fastpool as package

    assert package.__version__ in fastpool("--version").stdout
    told = fastpool("--help").stdout
    for command in ("demo", "bench", "serve"):
        assert command in told
