"""Silent as a library; files, console and masking when asked for."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tapeline.log_output import JsonFormatter, LogFile, TextFormatter
from tapeline.logs import (
    ConditionalLogger,
    PartLogger,
    RateLimitedLog,
    add_log_file,
    close_logging,
    configure_logging,
    get_logger,
    read_flag,
    register_secret,
)


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("VERBOSE_LOGGING", "LOG_TO_CONSOLE"):
        monkeypatch.delenv(name, raising=False)
    yield
    close_logging()


def test_the_library_is_silent_by_default() -> None:
    """In a fresh process nothing is printed and no file is made."""
    code = (
        "import logging, tapeline.logs; "
        "logging.getLogger('tapeline.session').critical('x')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert list(Path().iterdir()) == []


def test_a_log_file_is_made_at_the_first_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = get_logger("okx_collector")
    assert logger.name == "okx_collector"
    assert not Path("logs").exists()
    logger.debug("unseen")
    assert not Path("logs").exists()
    logger.info("connected to %s", "okx")
    (line,) = Path("logs/okx_collector.log").read_text().splitlines()
    assert line.endswith(" INFO    okx_collector: connected to okx")
    assert line[:5].rstrip("-").isdecimal()
    assert capsys.readouterr() == ("", "")


def test_verbose_logs_details_on_the_console_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    get_logger("a", verbose=True).debug("detail")
    assert "DEBUG   a: detail" in capsys.readouterr().err
    assert "DEBUG   a: detail" in Path("logs/a.log").read_text()


@pytest.mark.parametrize(
    ("environ", "verbose", "level", "console"),
    [
        ({}, None, logging.INFO, False),
        ({"VERBOSE_LOGGING": "true"}, None, logging.DEBUG, True),
        ({"LOG_TO_CONSOLE": "1"}, None, logging.INFO, True),
        ({"LOG_TO_CONSOLE": "nonsense"}, None, logging.INFO, False),
        (
            {"VERBOSE_LOGGING": "yes", "LOG_TO_CONSOLE": "on"},
            False,
            logging.INFO,
            False,
        ),
        ({"VERBOSE_LOGGING": "no"}, True, logging.DEBUG, True),
    ],
)
def test_an_argument_wins_over_the_environment(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    verbose: bool | None,
    level: int,
    console: bool,
) -> None:
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    logger = get_logger("a", verbose)
    logger.warning("seen")
    assert logger.level == level
    assert ("seen" in capsys.readouterr().err) is console


def test_errors_only_keeps_everything_else_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = get_logger("a", verbose=True, log_errors_only=True)
    logger.warning("small")
    logger.error("big")
    assert "small" not in Path("logs/a.log").read_text()
    shown = capsys.readouterr().err
    assert "big" in shown
    assert "small" not in shown


def test_the_same_name_is_set_up_anew_and_prints_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = get_logger("a", verbose=True)
    second = get_logger("a", verbose=True)
    child = get_logger("a.b", verbose=True)
    first.info("one")
    child.info("two")
    assert first is second
    assert capsys.readouterr().err.count("\n") == 2
    assert Path("logs/a.log").read_text().count("\n") == 1
    get_logger("a", verbose=False).info("three")
    assert capsys.readouterr().err == ""


def test_any_name_gives_a_file_in_the_folder(tmp_path: Path) -> None:
    for name in ("../../up", "BTC/USDT", "...", "名", "x" * 300):
        get_logger(name, log_dir=tmp_path / "l").info("x")
    assert len(list((tmp_path / "l").iterdir())) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"l"}


def test_files_are_rotated_and_capped() -> None:
    configure_logging(max_bytes=2_000, kept=2, environ={})
    logger = logging.getLogger("tapeline.anything")
    for number in range(500):
        logger.info("line %d", number)
    files = sorted(path.name for path in Path("logs").iterdir())
    assert files == ["tapeline.log", "tapeline.log.1", "tapeline.log.2"]
    assert sum(path.stat().st_size for path in Path("logs").iterdir()) <= 6_000
    assert "line 499" in Path("logs/tapeline.log").read_text()


def test_an_unwritable_folder_means_the_console_and_one_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("logs").write_text("in the way")
    logger = get_logger("a")
    logger.info("one")
    logger.info("two")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("expected to write the log file ")
    assert "logging to the console instead" in lines[0]
    assert lines[1].endswith("a: one")
    assert lines[2].endswith("a: two")


def test_an_unwritable_folder_with_a_console_prints_each_line_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("logs").write_text("in the way")
    logger = get_logger("a", verbose=True)
    logger.info("one")
    assert capsys.readouterr().err.count("a: one") == 1


def test_a_broken_file_is_tried_again_after_a_while(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("logs").write_text("in the way")
    file = LogFile(Path("logs/a.log"), 10_000, 1)
    file.setFormatter(TextFormatter())
    for created, message in ((100.0, "one"), (110.0, "two"), (161.0, "three")):
        if created == 110.0:
            Path("logs").unlink()
        record = logging.makeLogRecord(
            {"msg": message, "created": created, "name": "a", "levelname": "INFO"}
        )
        file.handle(record)
    file.close()
    shown = capsys.readouterr().err
    assert "one" in shown
    assert "two" in shown
    assert (
        Path("logs/a.log").read_text() == "1970-01-01T00:02:41.000Z INFO    a: three\n"
    )


def test_the_service_log_holds_all_of_tapeline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("warning", console=True, log_dir="there", environ={})
    logging.getLogger("tapeline.session.okx").warning("resync")
    logging.getLogger("tapeline.session.okx").info("unseen")
    logging.getLogger("someone.else").warning("unseen")
    assert Path("there/tapeline.log").read_text().count("\n") == 1
    assert capsys.readouterr().err.count("resync") == 1
    get_logger("mine").info("beside it")
    assert Path("there/mine.log").exists()


def test_configuring_again_replaces_the_former_set_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(console=True, environ={})
    configure_logging("error", json=True, environ={"VERBOSE_LOGGING": "1"})
    logging.getLogger("tapeline").debug("x")
    shown = capsys.readouterr().err
    assert json.loads(shown)["level"] == "debug"


def test_json_lines_hold_extras_and_exceptions() -> None:
    configure_logging(json=True, environ={})
    logger = logging.getLogger("tapeline.sink")
    register_secret("hunter22")
    try:
        raise ValueError("with hunter22")
    except ValueError:
        logger.exception("lost\n%s", "it", extra={"component": "sink a", "n": 3})
    logger.info("x", extra={"dsn": ["hunter22"], "odd": Path("p")}, stack_info=True)
    first, second = map(json.loads, Path("logs/tapeline.log").read_text().splitlines())
    assert first["message"] == "lost\nit"
    assert (first["component"], first["n"]) == ("sink a", 3)
    assert (first["level"], first["logger"]) == ("error", "tapeline.sink")
    assert first["time"].endswith("Z")
    assert "ValueError: with <secret>" in first["exception"]
    assert second["dsn"] == "['<secret>']"
    assert second["odd"] == "p"
    assert "Stack" in second["exception"]


def test_text_lines_cannot_be_forged() -> None:
    record = logging.makeLogRecord(
        {"msg": "a\n2026-01-01 INFO fake\r\x1b[2J\u2028z", "name": "n"}
    )
    assert "\n2026" not in TextFormatter().format(record)
    assert "\x1b" not in TextFormatter().format(record)
    assert TextFormatter().format(record).count("\n    ") == 3
    assert "\n" not in JsonFormatter().format(record)


def test_secrets_are_masked_in_messages_arguments_and_tracebacks() -> None:
    register_secret("s3cr3t-text")
    logger = get_logger("a")
    logger.info("a s3cr3t-text b")
    logger.info("%s", {"k": "s3cr3t-text"})
    logger.info("%d s3cr3t-text", "s3cr3t-text")
    try:
        raise OSError("s3cr3t-text")
    except OSError:
        logger.exception("bad", stack_info=True)
    shown = Path("logs/a.log").read_text()
    assert "s3cr3t" not in shown
    assert shown.count("<secret>") >= 4
    assert "arguments do not fit: TypeError" in shown


def test_masking_reaches_other_handlers_after_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The record itself is masked, so what handles it next sees no secret."""
    register_secret("s3cr3t-text")
    logger = get_logger("a")
    other = logging.StreamHandler()
    logger.addHandler(other)
    try:
        logger.info("a %s b", "s3cr3t-text")
        try:
            raise OSError("no s3cr3t-text")
        except OSError:
            logger.exception("c")
    finally:
        logger.removeHandler(other)
    shown = capsys.readouterr().err
    assert shown.startswith("a <secret> b\nc\n")
    assert shown.endswith("OSError: no <secret>\n")
    assert "s3cr3t" not in shown


def test_a_line_that_utf_8_cannot_hold_is_still_written() -> None:
    get_logger("a").info("lone \ud800 surrogate")
    assert r"lone \ud800 surrogate" in Path("logs/a.log").read_text()


def test_a_conditional_logger_without_a_logger_does_nothing() -> None:
    log = ConditionalLogger(None)
    for write in (log.debug, log.info, log.warning, log.error, log.critical):
        write("%s", "x")
    log.error("x", exc_info=True)


@pytest.mark.parametrize(
    ("errors_only", "levels"),
    [
        (False, ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        (True, ["ERROR", "CRITICAL"]),
    ],
)
def test_a_conditional_logger_can_be_for_errors_only(
    errors_only: bool, levels: list[str]
) -> None:
    logger = get_logger("a", verbose=True)
    log = ConditionalLogger(logger, errors_only)
    log.debug("m %d", 1)
    log.info("m")
    log.warning("m")
    log.error("m", exc_info=False)
    try:
        raise RuntimeError("why")
    except RuntimeError:
        log.critical("m", exc_info=True)
    text = Path("logs/a.log").read_text()
    assert [line.split()[1] for line in text.splitlines() if " a: " in line] == levels
    assert "RuntimeError: why" in text


@attrs.define
class _Clock:
    """Time that a test moves by hand."""

    ns: int = 0

    def wall_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@attrs.define
class _Lines:
    """Keeps formatted warnings."""

    lines: list[str] = attrs.field(factory=list)

    def warning(self, message: str, *args: object) -> None:
        self.lines.append(message % args if args else message)


def test_repeats_are_counted_per_key_and_told_later() -> None:
    clock, log = _Clock(), _Lines()
    limited = RateLimitedLog(log, clock, every_s=10)
    for number in range(4):
        limited.warning("a", "bad frame %d", number)
    limited.warning("b", "100% other")
    limited.warning("b", "100% other")
    assert log.lines == ["bad frame 0", "100% other"]
    clock.ns += 10 * 10**9
    limited.warning("a", "bad frame %d", 9)
    assert log.lines[2:] == ["bad frame 9 (and 3 more of these before)"]
    limited.flush()
    assert log.lines[3:] == ["b: 1 more of these"]
    limited.flush()
    assert len(log.lines) == 4


def test_forgotten_keys_keep_the_memory_bounded() -> None:
    log = _Lines()
    limited = RateLimitedLog(log, _Clock(), max_keys=2)
    for key in ("a", "a", "b", "c", "d"):
        limited.warning(key, key)
    assert log.lines == ["a", "b", "c", "a: 1 more of these", "d"]


@pytest.mark.parametrize(
    ("text", "flag"),
    [("1", True), (" TRUE ", True), ("off", False), ("", False), ("2", None)],
)
def test_flags_are_read_as_operators_write_them(text: str, flag: bool | None) -> None:
    assert read_flag(text) is flag


@pytest.mark.parametrize(
    ("errors_only", "levels"), [(False, ["INFO", "ERROR"]), (True, ["ERROR"])]
)
def test_a_part_logs_under_its_own_name_to_its_collector_s_logger(
    errors_only: bool, levels: list[str]
) -> None:
    part = PartLogger("okx.link", get_logger("okx"), errors_only)
    part.debug("unseen")
    part.info("connected")
    part.error("lost")
    lines = Path("logs/okx.log").read_text().splitlines()
    assert [line.split()[1:3] for line in lines] == [
        [level, "okx.link:"] for level in levels
    ]
    assert part.isEnabledFor(logging.INFO) is not errors_only


def test_a_part_without_a_logger_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    part = PartLogger("okx.link", None)
    with caplog.at_level(logging.DEBUG):
        part.critical("x")
    assert caplog.records == []
    assert not part.isEnabledFor(logging.CRITICAL)


def test_a_part_follows_what_its_collector_s_logger_is_set_to_later() -> None:
    logger = get_logger("a")
    part = PartLogger("a.link", logger)
    part.debug("one")
    get_logger("a", verbose=True)
    part.debug("two")
    assert "two" in Path("logs/a.log").read_text()
    assert "one" not in Path("logs/a.log").read_text()


def test_a_collector_of_the_service_has_a_file_and_is_in_the_common_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("warning", console=True, environ={})
    logger = add_log_file("tapeline.collector.okx")
    logger.info("unseen")
    logger.warning("resync")
    for name in ("tapeline", "tapeline.collector.okx"):
        assert Path(f"logs/{name}.log").read_text().count("\n") == 1
    assert capsys.readouterr().err.count("resync") == 1
