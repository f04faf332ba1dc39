"""Every rule for a sink, as ``tapeline certify`` checks it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import duckdb
import msgspec
import pytest
from tapeline_parquet import ParquetAdapter, ParquetConfig

from tapeline.model import Subscription, Trade
from tapeline.testing.conformance import (
    Destination,
    SinkConformance,
    SinkUnderTest,
)

_TRADES = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
_TOO_EXACT = Trade(
    _TRADES, "1", 1, 1, 1, "buy", Decimal("1e-19"), Decimal(1), 10**18, 10**18
)


def _stored(folder: Path) -> Sequence[int]:
    """Ids in the Parquet files, then those that only the spool has."""
    found: list[tuple[int, int, int]] = []
    if list(folder.glob("trades/*.parquet")):
        with duckdb.connect() as connection:
            found = connection.execute(
                "SELECT position, ordinal, last_id"
                f" FROM '{folder}/trades/*.parquet' ORDER BY position, ordinal"
            ).fetchall()
    for path in sorted(folder.glob("_spool/*.part")):
        for row in msgspec.msgpack.decode(path.read_bytes()).get("trades", ()):
            found.append((row["position"], row["ordinal"], row["last_id"]))
    return [last_id for _, _, last_id in found]


@contextmanager
def _away(folder: Path) -> Iterator[None]:
    """The folder is a link to a disk that is not mounted."""
    aside = folder.with_name("aside")
    moved = folder.exists()
    if moved:
        folder.rename(aside)
    folder.symlink_to(folder.with_name("not-mounted"))
    try:
        yield
    finally:
        folder.unlink()
        if moved:
            aside.rename(folder)


@contextmanager
def _destination() -> Iterator[Destination]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "lake"
        yield Destination(
            ParquetConfig(path=folder, rotate_bytes=500_000),
            lambda: _stored(folder),
            outage=lambda: _away(folder),
            poison=_TOO_EXACT,
        )


class TestParquet(SinkConformance):
    """The Parquet sink, held to the rules."""

    @pytest.fixture
    def under_test(self) -> SinkUnderTest:
        """The sink over a new folder for each case."""
        return SinkUnderTest(ParquetAdapter(), _destination, plugin="parquet")
