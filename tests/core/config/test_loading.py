"""What a right configuration becomes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.config import TapelineConfig, load_config, parse_config
from tapeline.errors import ConfigError
from tapeline.model import Secret
from tapeline.plugins.registry import PluginRegistry

Load = Callable[..., TapelineConfig]

MINIMAL = '[collectors.c]\nexchange = "acme"\nsymbols = ["BTC-USDT"]\n'


def test_the_least_configuration_collects_trades_into_the_default_database(
    load: Load,
) -> None:
    config = load(MINIMAL)
    collector = config.collectors["c"]
    assert (collector.name, collector.exchange) == ("c", "acme")
    assert collector.symbols == ("BTC-USDT",)
    assert collector.data_types == ("trade",)
    assert collector.timeframes == ()
    assert collector.market == "spot"
    sink = config.sinks["local"]
    assert (sink.name, sink.use, sink.data_types) == ("local", "store", None)
    assert sink.options.path == Path("data/market.db")  # type: ignore[attr-defined]
    assert config.runtime.data_dir == Path("data")


@pytest.mark.parametrize("folder", ["elsewhere", "/tmp/tapeline", "file:odd"])
def test_the_default_database_stands_in_data_dir(load: Load, folder: str) -> None:
    """Even when the folder's name looks like a reference."""
    text = "[runtime]\ndata_dir = 'env:DIR'\n" + MINIMAL
    config = load(text, {"DIR": folder})
    path = config.sinks["local"].options.path  # type: ignore[attr-defined]
    assert path == Path(folder) / "market.db"


def test_sinks_keep_the_order_and_options_of_the_file(load: Load) -> None:
    config = load(
        MINIMAL
        + """
        [sinks.b]
        use = "store.box"
        dsn = "env:DSN"
        data_types = ["trade"]
        [sinks.a]
        use = "store"
        path = "x.db"
        """,
        {"DSN": "postgres://u:p@h/d"},
    )
    assert list(config.sinks) == ["b", "a"]
    box = config.sinks["b"]
    assert box.data_types == ("trade",)
    assert box.options.dsn == Secret("postgres://u:p@h/d")  # type: ignore[attr-defined]
    assert box.options.pool == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("keys", "data_types", "timeframes"),
    [
        ("timeframes = ['1s', '1h']", ("trade", "candle"), ("1s", "1h")),
        ("data_types = ['candle']", ("candle",), ("1m",)),
        ("data_types = ['ticker']", ("ticker",), ()),
        ("data_types = ['ticker']\ntimeframes = ['5m']", ("ticker", "candle"), ("5m",)),
        ("data_types = ['acme.funding']", ("acme.funding",), ()),
        ("venue_timeframes = ['1m']\ndata_types = []", (), ()),
    ],
)
def test_candles_and_timeframes_imply_each_other(
    load: Load, keys: str, data_types: tuple[str, ...], timeframes: tuple[str, ...]
) -> None:
    collector = load(MINIMAL + keys).collectors["c"]
    assert collector.data_types == data_types
    assert collector.timeframes == timeframes


def test_balances_need_no_symbols(load: Load) -> None:
    text = '[collectors.c]\nexchange = "acme"\ndata_types = ["balance"]\n'
    assert load(text).collectors["c"].symbols == ()


@pytest.mark.parametrize(
    ("market", "symbol"),
    [
        ("spot", "BTC-USDT"),
        ("spot", "1000SATS-USDT"),
        ("spot", "币安人生-USDT"),
        ("swap", "BTC-USD_UM"),
        ("future", "BTC-USD-260327"),
    ],
)
def test_canonical_symbols_are_taken(load: Load, market: str, symbol: str) -> None:
    text = f"""
        [collectors.c]
        exchange = "acme"
        market = "{market}"
        symbols = ["{symbol}"]
    """
    assert load(text).collectors["c"].symbols == (symbol,)


def test_an_explicit_interval_wins_over_the_environment(load: Load) -> None:
    environ = {"DEFAULT_HEALTH_CHECK_INTERVAL": "7"}
    by_environment = load(MINIMAL, environ)
    by_file = load(MINIMAL + "health_check_interval = 9", environ)
    assert load(MINIMAL).collectors["c"].health_check_interval == 30.0
    assert by_environment.collectors["c"].health_check_interval == 7.0
    assert by_environment.defaults.health_check_interval_s == 7.0
    assert by_file.collectors["c"].health_check_interval == 9.0


def test_options_of_every_type_are_read(load: Load) -> None:
    text = (
        MINIMAL
        + """
        [collectors.c.options]
        ws_url = "ws://127.0.0.1:1"
        depth = 50
        ratio = 1
        fee = 0.10000000000000000000001
        testnet = true
        region = "europe"
        mode = "fast"
        cache = "some/where"
        secret = "literal-text"
        hosts = ["a", "b"]
        weights = [1, 2]
        labels = {a = "x"}
        keys = [{api_key = "key-text", label = "one"}]
        """
    )
    options: Any = load(text).collectors["c"].options
    assert options.depth == 50
    assert (options.ratio, type(options.ratio)) == (1.0, float)
    assert options.fee == Decimal("0.10000000000000000000001")
    assert options.testnet is True
    assert options.region.value == "europe"
    assert options.mode == "fast"
    assert options.cache == Path("some/where")
    assert options.secret == Secret("literal-text")
    assert options.hosts == ("a", "b")
    assert options.weights == [1, 2]
    assert options.labels == {"a": "x"}
    assert options.keys[0].api_key == Secret("key-text")


def test_a_file_is_read_with_its_path_and_a_byte_order_mark(
    tmp_path: Path, plugins: PluginRegistry
) -> None:
    file = tmp_path / "tapeline.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_config(str(file), plugins, {}).source_path == file


scalars = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["acme", "store", "trade", "1m", "BTC-USDT", "env:A", "file:/"])
    | st.dates()
)
KNOWN_KEYS = """
    runtime collectors sinks options exchange symbols data_types timeframes use path
    proxy market depth secret keys labels hosts weights redundancy log_level
"""
keys = st.text(max_size=6) | st.sampled_from(KNOWN_KEYS.split())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)
collectors = st.dictionaries(
    st.text(max_size=4),
    st.dictionaries(keys, values, max_size=5).map(
        lambda table: {"exchange": "acme"} | table
    ),
    max_size=2,
)
documents = st.dictionaries(keys, values, max_size=3).flatmap(
    lambda table: (
        st.just(table) | collectors.map(lambda tables: table | {"collectors": tables})
    )
)


def toml(value: object) -> str:
    """*value* as inline TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        quoted = "".join(f"\\U{ord(letter):08x}" for letter in value)
        return f'"{quoted}"'
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{toml(key)} = {toml(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    return str(value)


@settings(max_examples=150, deadline=None)
@given(document=documents)
def test_any_toml_gives_a_configuration_or_a_configuration_error(
    plugins: PluginRegistry, document: dict[str, object]
) -> None:
    text = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in document.items())
    tomllib.loads(text)
    problems: Sequence[tuple[str, str]] = ()
    try:
        parse_config(text, plugins, {"A": "text-of-a"})
    except ConfigError as error:
        problems = error.problems
    assert all(path for path, _ in problems)
    assert not any("\n" in path + sentence for path, sentence in problems)


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet="[]{}=\"'.,#\n\\\x00aé1-", max_size=40))
def test_any_text_gives_a_configuration_error(
    plugins: PluginRegistry, text: str
) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, plugins, {})
