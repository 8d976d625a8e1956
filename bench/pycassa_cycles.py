"""Cycles of pycassa's pool, for a Python 2.7 in a process of its own: `pycassa_cycles.py HOST:PORT THREADLOCAL`.

Reads a number from each line of standard input, makes as many checkouts and checkins, and answers with an empty line.
"""

import sys

from pycassa.pool import ConnectionPool

pool = ConnectionPool("Keyspace1", [sys.argv[1]], pool_size=8, timeout=60, use_threadlocal=sys.argv[2] == "True")
while True:
    line = sys.stdin.readline()
    if not line:
        break
    for _ in range(int(line)):
        pool.put(pool.get())
    sys.stdout.write("\n")
    sys.stdout.flush()
