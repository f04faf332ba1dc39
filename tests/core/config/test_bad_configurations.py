"""Whatever is wrong is told with its key path, what was expected and found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tapeline.config import load_config, parse_config
from tapeline.errors import ConfigError
from tapeline.plugins.registry import PluginRegistry

Problems = Callable[..., list[tuple[str, str]]]

HEAD = '[collectors.c]\nexchange = "acme"\n'
GOOD = HEAD + 'symbols = ["BTC-USDT"]\n'
OPTIONS = GOOD + "[collectors.c.options]\n"
SINK = GOOD + "[sinks.s]\n"
BOX = SINK + 'use = "store.box"\ndsn = "postgres://u:p@h/d"\n'
ENVIRON = {"EMPTY": "", "WORD": "wörd"}

# text, key path, parts of the sentence
BAD: list[tuple[str, str, tuple[str, ...]]] = [
    # the document
    ("", "collectors", ("[collectors.NAME] table", "none")),
    ("[collectors]", "collectors", ("[collectors.NAME] table", "none")),
    ("collectors = 5", "collectors", ("a table", "found 5")),
    ("runtime = []\n" + GOOD, "runtime", ("a table", "an empty list")),
    ("sinks = 'x'\n" + GOOD, "sinks", ("a table", "'x'")),
    ("[sinks]\n" + GOOD, "sinks", ("[sinks.NAME]", "leave [sinks] out")),
    ("[runtme]\n" + GOOD, "runtme", ("runtime", "did you mean 'runtime'?")),
    ("[collector.c]\n" + GOOD, "collector", ("did you mean 'collectors'?",)),
    ("[zebra]\n" + GOOD, "zebra", ("runtime, services or sinks", "remove it")),
    ("'' = 1\n" + GOOD, '""', ("runtime, services or sinks", "found ''")),
    ("[runtime\n", "line 1", ("valid TOML", "at column 9")),
    ("a = 1\na = 2\n", "line 2", ("valid TOML", "overwrite")),
    (GOOD + "enabled = yes\n", "line 4", ("valid TOML", "invalid value")),
    (GOOD + 'market = "spot', "end of file", ("valid TOML",)),
    ("x = " + "[" * 5000, "", ("few levels", "far too many")),
    ("x = " + "1" * 5000, "", ("usual length", "thousands of digits")),
    # [runtime]
    (
        "[runtime]\ndata_dri = 'x'\n" + GOOD,
        "runtime.data_dri",
        ("did you mean 'data_dir'?",),
    ),
    ("[runtime]\ndata_dir = 5\n" + GOOD, "runtime.data_dir", ("a path", "found 5")),
    ("[runtime]\ndata_dir = ''\n" + GOOD, "runtime.data_dir", ("a path", "found ''")),
    (
        '[runtime]\ndata_dir = "a\\u0000b"\n' + GOOD,
        "runtime.data_dir",
        ("a path", r"'a\x00b'"),
    ),
    (
        "[runtime]\nlog_level = 'verbos'\n" + GOOD,
        "runtime.log_level",
        ("debug, error, info or warning", "'verbos'"),
    ),
    (
        "[runtime]\nlog_level = 'DEBUG'\n" + GOOD,
        "runtime.log_level",
        ("did you mean 'debug'?",),
    ),
    ("[runtime]\nlog_json = 1\n" + GOOD, "runtime.log_json", ("true or false", "1")),
    (
        "[runtime]\ncommit_ms = '5'\n" + GOOD,
        "runtime.commit_ms",
        ("an integer", "found '5'", "without quotes"),
    ),
    (
        "[runtime]\ncommit_ms = 5.5\n" + GOOD,
        "runtime.commit_ms",
        ("an integer", "found 5.5"),
    ),
    (
        "[runtime]\ncommit_ms = true\n" + GOOD,
        "runtime.commit_ms",
        ("an integer", "found true"),
    ),
    ("[runtime]\ncommit_ms = -1\n" + GOOD, "runtime.commit_ms", ("at least 0", "-1")),
    (
        "[runtime]\ncommit_ms = 999999\n" + GOOD,
        "runtime.commit_ms",
        ("at most 60000", "999999"),
    ),
    ("[runtime]\nquota_bytes = 1\n" + GOOD, "runtime.quota_bytes", ("at least",)),
    (
        "[runtime]\nquota_bytes = 0x" + "f" * 4000 + "\n" + GOOD,
        "runtime.quota_bytes",
        ("an integer of 64 bits", "an integer of 16000 bits"),
    ),
    (
        "[runtime]\nmemory_bytes = 2020-01-01\n" + GOOD,
        "runtime.memory_bytes",
        ("an integer", "a date or time"),
    ),
    ("[runtime]\nproxy = 'host:1'\n" + GOOD, "runtime.proxy", ("proxy address",)),
    ("[runtime]\nproxy = 8080\n" + GOOD, "runtime.proxy", ("a secret", "type int")),
    (
        "[runtime]\nproxy = 'env:NO_SUCH'\n" + GOOD,
        "runtime.proxy",
        ("environment variable 'NO_SUCH' to be set", "unset"),
    ),
    # [collectors.NAME]
    ("[collectors]\nc = 5", "collectors.c", ("[collectors.NAME] table", "found 5")),
    (
        GOOD.replace(".c]", '."my name"]'),
        'collectors."my name"',
        ("a name", "'my name'"),
    ),
    ("[collectors.c]\nsymbols = ['BTC-USDT']", "collectors.c.exchange", ("nothing",)),
    (
        GOOD.replace('"acme"', '"acne"'),
        "collectors.c.exchange",
        ("an installed exchange (acme", "did you mean 'acme'?"),
    ),
    (
        GOOD.replace('"acme"', '"wonderland"'),
        "collectors.c.exchange",
        ("an installed exchange (acme", "wonderland", "pip install"),
    ),
    (GOOD.replace('"acme"', "7"), "collectors.c.exchange", ("text", "found 7")),
    (
        GOOD.replace('"acme"', '"broken"'),
        "collectors.c.exchange",
        ("'broken' is invalid", "no licence"),
    ),
    (HEAD, "collectors.c.symbols", ("at least one symbol", "none")),
    (HEAD + "symbols = []", "collectors.c.symbols", ("at least one symbol", "none")),
    (HEAD + "symbols = 5", "collectors.c.symbols", ("a list of symbols", "found 5")),
    (
        HEAD + "symbols = 'BTC-USDT'",
        "collectors.c.symbols",
        ("a list of symbols", "write ['BTC-USDT']"),
    ),
    (HEAD + "symbols = [5]", "collectors.c.symbols[0]", ("text", "found 5", "quotes")),
    (
        HEAD + "symbols = ['ETH-USDT', 'BTCUSDT']",
        "collectors.c.symbols[1]",
        ("like BTC-USDT", "'BTCUSDT'", "write 'BTC-USDT'"),
    ),
    (HEAD + "symbols = ['btc-usdt']", "collectors.c.symbols[0]", ("'BTC-USDT'",)),
    (HEAD + "symbols = ['ETH/BTC']", "collectors.c.symbols[0]", ("'ETH-BTC'",)),
    (HEAD + "symbols = ['*']", "collectors.c.symbols[0]", ("like BTC-USDT", "'*'")),
    (HEAD + "symbols = ['']", "collectors.c.symbols[0]", ("like BTC-USDT", "found ''")),
    (
        HEAD + "symbols = ['BTC-USDT-SWAP']",
        "collectors.c.symbols[0]",
        ("write 'BTC-USDT' with market = \"swap\"",),
    ),
    (
        HEAD + "market = 'swap'\nsymbols = ['BTC-USDT-SWAP']",
        "collectors.c.symbols[0]",
        ("a swap symbol", "; write 'BTC-USDT'"),
    ),
    (
        HEAD + "symbols = ['BTC-USD-260327']",
        "collectors.c.symbols[0]",
        ("write 'BTC-USD-260327' with market = \"future\"",),
    ),
    (
        HEAD + "market = 'future'\nsymbols = ['BTC-USD']",
        "collectors.c.symbols[0]",
        ("a future symbol like BTC-USD-260327", "'BTC-USD'"),
    ),
    (
        HEAD + "symbols = ['BTC-USDT', 'BTC-USDT']",
        "collectors.c.symbols[1]",
        ("each symbol once", "'BTC-USDT' again"),
    ),
    (
        HEAD + f"symbols = ['{'A' * 500}-USDT']",
        "collectors.c.symbols[0]",
        ("like BTC-USDT", "AAA…"),
    ),
    (
        HEAD + 'symbols = ["BTC-USDT\\nTraceback"]',
        "collectors.c.symbols[0]",
        (r"'BTC-USDT\nTraceback'",),
    ),
    (
        GOOD + "market = 'option'",
        "collectors.c.market",
        ("a market of acme (future, spot or swap)", "'option'"),
    ),
    (GOOD + "market = 'spott'", "collectors.c.market", ("did you mean 'spot'?",)),
    (GOOD + "market = 1", "collectors.c.market", ("text", "found 1")),
    (
        GOOD + "data_types = ['trades']",
        "collectors.c.data_types[0]",
        ("a data type that acme offers", "did you mean 'trade'?"),
    ),
    (
        GOOD + "data_types = ['trade', 'klines']",
        "collectors.c.data_types[1]",
        ("did you mean 'candle'?",),
    ),
    (
        GOOD.replace('"acme"', '"acme.quotes"'),
        "collectors.c.data_types",
        ("acme.quotes offers (ticker)", "'trade'"),
    ),
    (
        GOOD.replace('"acme"', '"acme.quotes"') + "data_types = ['candle']",
        "collectors.c.data_types[0]",
        ("acme.quotes offers (ticker)", "built from trades"),
    ),
    (
        GOOD.replace('"acme"', '"acme.quotes"')
        + "data_types = ['ticker']\ntimeframes = ['1m']",
        "collectors.c.timeframes",
        ("acme.quotes offers (ticker)", "built from trades"),
    ),
    (GOOD + "data_types = []", "collectors.c.data_types", ("at least one", "none")),
    (
        GOOD + "data_types = 'trade'",
        "collectors.c.data_types",
        ("a list of data types", "write ['trade']"),
    ),
    (
        GOOD + "data_types = ['trade', 'trade']",
        "collectors.c.data_types[1]",
        ("each data type once", "again"),
    ),
    (
        GOOD + "timeframes = ['1m', '2m']",
        "collectors.c.timeframes[1]",
        ("a timeframe out of 1s", "'2m'"),
    ),
    (
        GOOD + "timeframes = ['1H']",
        "collectors.c.timeframes[0]",
        ("'1H'", "did you mean '1h'?"),
    ),
    (GOOD + "timeframes = [60]", "collectors.c.timeframes[0]", ("text", "found 60")),
    (
        GOOD + "timeframes = ['1m', '1m']",
        "collectors.c.timeframes[1]",
        ("each timeframe once",),
    ),
    (
        GOOD + "data_types = ['candle']\ntimeframes = []",
        "collectors.c.timeframes",
        ("at least one timeframe", "none"),
    ),
    (
        GOOD + "venue_timeframes = ['1h']",
        "collectors.c.venue_timeframes[0]",
        ("acme's own candles (1m)", "'1h'"),
    ),
    (GOOD + "enabled = 'yes'", "collectors.c.enabled", ("true or false", "'yes'")),
    (
        GOOD + "health_check_interval = 0",
        "collectors.c.health_check_interval",
        ("more than 0", "found 0"),
    ),
    (
        GOOD + "health_check_interval = nan",
        "collectors.c.health_check_interval",
        ("a finite number", "NaN"),
    ),
    (
        GOOD + "health_check_interval = 1e999",
        "collectors.c.health_check_interval",
        ("a number that a float can hold", "1E+999"),
    ),
    (GOOD + "redundancy = 3", "collectors.c.redundancy", ("at most 2", "found 3")),
    (GOOD + "symbls = []", "collectors.c.symbls", ("did you mean 'symbols'?",)),
    (
        GOOD + "depth = 5",
        "collectors.c.depth",
        ("an option of acme in [collectors.c.options]", "found it here"),
    ),
    (GOOD + "options = 5", "collectors.c.options", ("a table", "found 5")),
    # [collectors.NAME.options]: the plugin's own
    (OPTIONS + "dept = 5", "collectors.c.options.dept", ("did you mean 'depth'?",)),
    (OPTIONS + "depth = 7", "collectors.c.options.depth", ("1, 5 or 50", "found 7")),
    (OPTIONS + "depth = '5'", "collectors.c.options.depth", ("an integer", "'5'")),
    (OPTIONS + "ratio = -1", "collectors.c.options.ratio", ("at least 0", "-1")),
    (OPTIONS + "fee = 'x'", "collectors.c.options.fee", ("a number", "'x'")),
    (OPTIONS + "fee = inf", "collectors.c.options.fee", ("a finite number",)),
    (
        OPTIONS + "region = 'mars'",
        "collectors.c.options.region",
        ("europe or world", "'mars'"),
    ),
    (OPTIONS + "mode = 'sfe'", "collectors.c.options.mode", ("did you mean 'safe'?",)),
    (OPTIONS + "cache = 5", "collectors.c.options.cache", ("a path", "found 5")),
    (OPTIONS + "hosts = {}", "collectors.c.options.hosts", ("list of text", "table")),
    (OPTIONS + "hosts = ['a', 1]", "collectors.c.options.hosts[1]", ("text", "1")),
    (OPTIONS + "weights = ['a']", "collectors.c.options.weights[0]", ("integer", "a")),
    (OPTIONS + "labels = 1", "collectors.c.options.labels", ("a table", "found 1")),
    (OPTIONS + "labels.a = 1", "collectors.c.options.labels.a", ("text", "found 1")),
    (OPTIONS + "keys = [5]", "collectors.c.options.keys[0]", ("a table", "found 5")),
    (
        OPTIONS + "keys = [{label = 'a'}]",
        "collectors.c.options.keys[0].api_key",
        ("a value (secret)", "nothing"),
    ),
    (
        OPTIONS + "secret = 'env:NO_SUCH'",
        "collectors.c.options.secret",
        ("'NO_SUCH' to be set", "unset"),
    ),
    (OPTIONS + "secret = 'env:EMPTY'", "collectors.c.options.secret", ("it empty",)),
    (
        OPTIONS + "secret = 'env:'",
        "collectors.c.options.secret",
        ("the name", "nothing"),
    ),
    (OPTIONS + "secret = 'file:'", "collectors.c.options.secret", ("path", "nothing")),
    (
        OPTIONS + "secret = 'file:/no/such/file'",
        "collectors.c.options.secret",
        ("a readable file '/no/such/file'", "no such file"),
    ),
    (OPTIONS + "secret = 'file:/'", "collectors.c.options.secret", ("directory",)),
    (
        OPTIONS + 'secret = "file:a\\u0000"',
        "collectors.c.options.secret",
        ("readable file", "no file can have"),
    ),
    (
        OPTIONS + "secret = [1]",
        "collectors.c.options.secret",
        ("a secret", "type list"),
    ),
    (OPTIONS + "ws_url = 'env:NO'", "collectors.c.options.ws_url", ("'NO'", "unset")),
    # [sinks.NAME]
    (GOOD + "[sinks]\ns = 1", "sinks.s", ("[sinks.NAME] table", "found 1")),
    (SINK, "sinks.s.use", ("a value (text)", "nothing")),
    (SINK + "use = 1", "sinks.s.use", ("text", "found 1")),
    (SINK + "use = 'stor'", "sinks.s.use", ("installed sink", "did you mean 'store'?")),
    (SINK + "use = 'broken'", "sinks.s.use", ("'broken' is invalid",)),
    (SINK + "use = 'store'", "sinks.s.path", ("a value (path)", "nothing")),
    (
        SINK + "use = 'store'\npath = 'x'\npth = 'x'",
        "sinks.s.pth",
        ("did you mean 'path'?",),
    ),
    (BOX + "pool = 0", "sinks.s.pool", ("at least 1", "found 0")),
    (BOX + "data_types = 'trade'", "sinks.s.data_types", ("a list", "['trade']")),
    (BOX + "data_types = []", "sinks.s.data_types", ("at least one", "leave it out")),
    (
        BOX + "data_types = ['ticker']",
        "sinks.s.data_types[0]",
        ("store.box stores (candle or trade)", "'ticker'"),
    ),
    (
        BOX + "data_types = ['trade', 'trade']",
        "sinks.s.data_types[1]",
        ("each data type once", "again"),
    ),
    (
        BOX + "[sinks.s.options]\npool = 5",
        "sinks.s.options",
        ("beside 'use'", "[sinks.s]"),
    ),
]


@pytest.mark.parametrize(
    ("text", "path", "parts"), BAD, ids=[f"{n}-{bad[1]}" for n, bad in enumerate(BAD)]
)
def test_a_bad_configuration_is_told_where_and_why(
    problems_of: Problems, text: str, path: str, parts: tuple[str, ...]
) -> None:
    problems = problems_of(text, ENVIRON)
    assert [where for where, _ in problems] == [path]
    sentence = problems[0][1]
    for part in parts:
        assert part in sentence
    assert "Error" not in sentence.replace("RuntimeError", "")
    assert 'File "' not in sentence
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    if "is invalid" not in sentence:
        assert sentence.startswith("expected ")
        assert "found" in sentence


def test_every_problem_is_told_at_once(problems_of: Problems) -> None:
    """One run of the command shows everything that has to be mended."""
    text = """
        [runtime]
        commit_ms = -5
        log_level = "loud"
        quota = 1
        [collectors.a]
        exchange = "acme"
        symbols = ["BTCUSDT", "ETH-USDT", "ETH-USDT"]
        data_types = ["trade", "options"]
        timeframes = ["7m"]
        redundancy = 9
        [collectors.a.options]
        depth = 3
        ratio = -1
        secret = "env:NOPE"
        fast = true
        [collectors.b]
        exchange = "nowhere"
        symbols = []
        [sinks.x]
        use = "nothing"
        [sinks.y]
        use = "store.box"
        pool = 0
    """
    problems = problems_of(text, {"RECONNECT_DELAY": "soon"})
    assert {path for path, _ in problems} == {
        "RECONNECT_DELAY",
        "runtime.commit_ms",
        "runtime.log_level",
        "runtime.quota",
        "collectors.a.symbols[0]",
        "collectors.a.symbols[2]",
        "collectors.a.data_types[1]",
        "collectors.a.timeframes[0]",
        "collectors.a.redundancy",
        "collectors.a.options.depth",
        "collectors.a.options.ratio",
        "collectors.a.options.secret",
        "collectors.a.options.fast",
        "collectors.b.exchange",
        "collectors.b.symbols",
        "sinks.x.use",
        "sinks.y.pool",
        "sinks.y.dsn",
    }
    assert len(problems) == 18


def test_the_error_names_the_source_and_counts(plugins: PluginRegistry) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("[a]\n[b]", plugins, {}, "my.toml")
    assert str(caught.value).startswith("my.toml: 3 problems in the configuration\n")


def test_without_a_default_sink_the_package_to_install_is_named(
    plugins_without_default: PluginRegistry,
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD, plugins_without_default, {})
    ((path, sentence),) = caught.value.problems
    assert path == "sinks"
    assert "pip install 'tapeline[start]'" in sentence


def test_two_default_sinks_are_told(
    plugins_with_two_defaults: PluginRegistry,
) -> None:
    with pytest.raises(ConfigError, match=r"sinks: expected one default sink, found"):
        parse_config(GOOD, plugins_with_two_defaults, {})


@pytest.mark.parametrize(
    ("content", "path", "part"),
    [
        (None, "", "no such file; write one with 'tapeline init'"),
        (b"[runtime]\nlog_dir = '\xff'\n", "line 2", "UTF-8"),
        (b"[runtime]\n\na = ]", "line 3", "valid TOML"),
    ],
)
def test_a_bad_file_is_told(
    tmp_path: Path,
    plugins: PluginRegistry,
    content: bytes | None,
    path: str,
    part: str,
) -> None:
    file = tmp_path / "tapeline.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file, plugins, {})
    ((where, sentence),) = caught.value.problems
    assert (where, caught.value.source) == (path, str(file))
    assert part in sentence


def test_a_folder_or_impossible_path_in_place_of_the_file_is_told(
    tmp_path: Path, plugins: PluginRegistry
) -> None:
    for path, part in ((tmp_path, "a folder"), ("a\0b", "no file can have")):
        with pytest.raises(ConfigError, match=part):
            load_config(path, plugins, {})


def test_a_secret_file_must_hold_a_short_text(
    tmp_path: Path, problems_of: Problems
) -> None:
    cases: Mapping[str, bytes] = {
        "it empty": b"\n",
        "other bytes": b"\xff\xfe",
        "a larger one": b"x" * 70_000,
    }
    for part, content in cases.items():
        (tmp_path / "key").write_bytes(content)
        text = OPTIONS + f"secret = 'file:{tmp_path / 'key'}'"
        ((path, sentence),) = problems_of(text)
        assert path == "collectors.c.options.secret"
        assert part in sentence
