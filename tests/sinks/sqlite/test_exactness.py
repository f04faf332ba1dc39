"""Any decimal that was received is what is read."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapeline_sqlite import SqliteConfig, SqliteReader
from tapeline_sqlite.store import Store

DECIMALS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False),
    st.builds(
        lambda digits, exponent: Decimal((0, tuple(digits), exponent)),
        st.lists(st.integers(0, 9), min_size=1, max_size=60),
        st.integers(-400, 400),
    ),
)
_runs = count()


@given(st.lists(DECIMALS, min_size=1, max_size=40))
@settings(
    max_examples=25,
    deadline=None,
    # Each example has a file of its own in the one folder.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_decimal_survives(
    records: Any, tmp_path: Path, values: list[Decimal]
) -> None:
    """Digit for digit: sign, trailing zeros and exponent."""
    path = tmp_path / f"{next(_runs)}.db"
    with closing(Store(path, "local", SqliteConfig(synchronous="normal"))) as store:
        store.open("journal-a")
        store.write(
            records.batch(
                [records.trade(n, price=value) for n, value in enumerate(values)]
            )
        )
    with closing(SqliteReader(path)) as reader:
        found = [row["price"] for row in reader.trades()]
    assert [value.as_tuple() for value in found] == [v.as_tuple() for v in values]
