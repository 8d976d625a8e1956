"""psycopg_pool's drop-in with a shared name: connections of another process are given up for its callers."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from fastpool.adapters.psycopg import ConnectionPool, PoolTimeout

OTHER = """
import sys
from fastpool.adapters.psycopg import ConnectionPool
with ConnectionPool(sys.argv[1], min_size=1, max_size=2, shared=sys.argv[2], shared_max=2, open=False) as pool:
    conn = pool.getconn()
    print("has one", flush=True)
    sys.stdin.readline()
    pool.putconn(conn)
    print("has returned it", flush=True)
    sys.stdin.readline()
"""


def test_idle_connection_of_another_process_is_given_up(dsn: str, tmp_path: Path, monkeypatch: Any) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path))
    name = uuid.uuid4().hex
    with ConnectionPool(dsn, min_size=1, max_size=2, shared=name, shared_max=2, open=False) as pool:
        pool.wait()
        first = pool.getconn()
        command = [sys.executable, "-c", OTHER, dsn, name]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert other.stdin is not None and other.stdout is not None
        with other:
            assert other.stdout.readline() == "has one\n"
            with pytest.raises(PoolTimeout):
                pool.getconn(timeout=0.2)
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "has returned it\n"
            second = pool.getconn()
            for conn in (first, second):
                pool.putconn(conn)
            other.stdin.close()
        assert other.returncode == 0
