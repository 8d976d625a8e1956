"""A RegionPool with a shared name: a page, and a cap, for each gateway."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastpool
from fastpool._shared.reading import shared_pools

from ._gateways import Gateways, eventually, held, needs_addresses, three_gateways

pytestmark = needs_addresses


@pytest.fixture(scope="module")
def gateways() -> Iterator[Gateways]:
    with three_gateways() as found:
        yield found


@pytest.fixture(autouse=True)
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pages").mkdir(mode=0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))


def names(gateways: Gateways) -> list[str]:
    return [f"hbase@{host}:{port}" for host, port in gateways.addresses]


def test_each_gateway_has_a_page_of_its_own(gateways: Gateways) -> None:
    with gateways.pool(shared="hbase", shared_max=1) as pool, held(pool, "a", 1):
        assert sorted((page.name, page.shared_max) for page in shared_pools()) == sorted(
            (name, 1) for name in names(gateways)
        )
        leased = [sum(stats.leased for stats in fastpool.shared_stats(name)) for name in names(gateways)]
        assert leased == [1, 0, 0] and fastpool.shared_stats("hbase") == []
    assert shared_pools() == [], "the pages vanish with the last pool"


def test_a_gateway_whose_cap_is_reached_elsewhere_leaves_its_rows_to_others(gateways: Gateways) -> None:
    with (
        gateways.pool(shared="hbase", shared_max=1) as pool,
        gateways.pool(shared="hbase", shared_max=1) as other,
        held(other, "h", 1),
    ):
        assert gateways.used(other, "a") == 0
        eventually(lambda: gateways.used(pool, "a") == 0, "an idle connection is given up for a waiter")
        assert gateways.used(pool, "h") in (0, 2), "50 ms, and then any other gateway"


def test_its_cap_is_resized_and_pickled_and_checked(gateways: Gateways) -> None:
    with gateways.pool(shared="hbase", shared_max=2, min_size=6) as pool:
        assert [one.config.min_size for one in pool.pools] == [2, 2, 2], "min_size is the whole pool's, the cap is not"
        with pytest.raises(ValueError, match="shared_max"):
            pool.resize(shared_max=1)
        pool.resize(shared_max=5)
        assert [page.shared_max for page in shared_pools()] == [5, 5, 5]
        data = pickle.dumps(pool)
    copy = pickle.loads(data)
    with copy:
        assert {page.shared_max for page in shared_pools()} == {5}
    with pytest.raises(TypeError, match="shared"):
        gateways.pool(shared=3)
    with pytest.raises(ValueError, match="shared_max"):
        gateways.pool(shared_max=3)
