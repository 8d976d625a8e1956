"""Pooling sqlite3's connections: what a user left open is rolled back, and a refused row costs no connection.

python examples/sqlite.py people.db
"""

import sqlite3
import sys
import threading

import fastpool

People = fastpool.Pool[sqlite3.Connection]


def open_pool(path: str) -> People:
    driver = fastpool.drivers.SQLite(path, pragmas={"journal_mode": "WAL"}, timeout=10)
    return fastpool.Pool(driver=driver, max_size=3, check_after=60)  # there is no network in between


def add(pool: People, name: str) -> None:
    with pool.connection() as connection:
        connection.execute("INSERT INTO people (name) VALUES (?)", (name,))
        connection.commit()


def names(pool: People) -> list[str]:
    with pool.connection() as connection:
        return [name for (name,) in connection.execute("SELECT name FROM people ORDER BY name")]


def main(path: str) -> None:
    with open_pool(path) as pool:
        with pool.connection() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY)")
            connection.commit()
        threads = [threading.Thread(target=add, args=(pool, f"person {number}")) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(", ".join(names(pool)))
        print(f"8 threads shared {len(pool)} connection(s), {pool.stats().waits} of them had to wait")


if __name__ == "__main__":
    main(*sys.argv[1:])
