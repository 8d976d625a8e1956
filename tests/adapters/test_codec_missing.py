"""Without the compiled codec, or with it turned off, the drop-ins work alike: thriftpy2 does all of it."""

from __future__ import annotations

import pytest

from tests.process._scripts import run

PROGRAM = """
import asyncio, sys
if {missing}:
    sys.modules["fastpool.adapters._thrift.codec.codec"] = None  # its import fails, as where it was not built
else:
    import os
    os.environ["FASTPOOL_CODEC"] = "off"
import fastpool, fastpool.aio
from fastpool.adapters._thrift.codec import codec
from fastpool.testing import HBaseServer
assert codec is None

cells = {{b"f:%d" % i: b"v" * i for i in range(10)}}
with HBaseServer(protocol="{protocol}") as server:
    where = dict(host=server.host, port=server.port, protocol="{protocol}")
    with fastpool.ConnectionPool(1, **where) as pool, pool.connection() as connection:
        connection.create_table("t", {{"f": {{}}}})
        table = connection.table("t")
        table.put(b"row", cells)
        with table.batch(batch_size=7) as batch:
            for i in range(30):
                batch.put(b"s%02d" % i, cells)
            batch.delete(b"s29")
        assert table.row(b"row") == cells
        assert dict(table.rows([b"row", b"s03"])) == {{b"row": cells, b"s03": cells}}
        assert table.cells(b"row", b"f:3") == [b"vvv"]
        assert table.counter_inc(b"n", b"f:n", 3) == 3
        assert [key for key, _ in table.scan(row_prefix=b"s", batch_size=4)] == [b"s%02d" % i for i in range(29)]
        assert [key for key, _ in table.scan(limit=3, sorted_columns=True)] == [b"n", b"row", b"s00"]
    assert pool.stats().closed["error"] == pool.stats().closed["desync"] == 0

    async def main():
        async with fastpool.aio.ConnectionPool(1, **where) as pool, pool.connection() as connection:
            table = connection.table("t")
            assert await table.row(b"row") == cells
            assert len([row async for row in table.scan(row_prefix=b"s", batch_size=4)]) == 29

    asyncio.run(main())
print("well")
"""


@pytest.mark.parametrize("missing", [True, False], ids=["not built", "turned off"])
@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_all_works_without_the_codec(missing: bool, protocol: str) -> None:
    pytest.importorskip("fastpool.aio", reason="needs aiohappybase")
    assert run(PROGRAM.format(missing=missing, protocol=protocol)).strip() == "well"
