"""Cases about sinks without faults: opening, storing once, closing, kinds."""

from __future__ import annotations

import json

import attrs

from tapeline.errors import SinkRejected
from tapeline.model import Batch, Part, SinkHealth, Trade
from tapeline.testing.conformance.cases import Tier, case
from tapeline.testing.conformance.sink_driver import Driver, closing, drive
from tapeline.testing.conformance.sink_records import (
    FIRST_POSITION,
    JOURNAL,
    batch_of,
    numbered,
    one_of_each,
)
from tapeline.testing.conformance.subjects import SECRET_TEXT, SinkUnderTest
from tapeline.testing.conformance.verdicts import NotApplicable, RuleBroken


@case("SK-PROMISE-001", "a sink promises durable or live, and no more than it does")
def promise(subject: SinkUnderTest) -> None:
    """``promise`` is one of the two words; a live sink has no cursor: it says None
    also after it has written.
    """
    adapter = subject.adapter
    if adapter.promise not in ("durable", "live"):
        raise RuleBroken(f"it promises {adapter.promise!r}")
    if subject.is_durable:
        return

    async def story(driver: Driver) -> None:
        sink, cursor = await driver.opened()
        async with closing(sink):
            await driver.write(sink, numbered(1, 3))
        again, later = await driver.opened()
        async with closing(again):
            if cursor is not None or later is not None:
                raise RuleBroken(f"a live sink has the cursor {later!r}")

    drive(subject, story)


@case("SK-OPEN-001", "open tells how far the destination has this journal")
def cursors(subject: SinkUnderTest) -> None:
    """None for a journal that is new; after a write, for a new sink on the same
    destination, the last position; and None again for another journal. What another
    journal writes leaves the first cursor where it was.
    """
    _durable(subject)

    async def story(driver: Driver) -> None:
        sink, cursor = await driver.opened()
        async with closing(sink):
            if cursor is not None:
                raise RuleBroken(f"a new journal is opened at {cursor}, not None")
            await driver.write(sink, numbered(1, 5))
        await _expect_cursor(driver, JOURNAL, FIRST_POSITION + 5)
        other, cursor = await driver.opened("another-journal")
        async with closing(other):
            if cursor is not None:
                raise RuleBroken(f"another journal is opened at {cursor}, not None")
            await driver.write(other, numbered(6, 7, journal="another-journal"))
        await _expect_cursor(driver, JOURNAL, FIRST_POSITION + 5)

    drive(subject, story)


@case("SK-ONCE-001", "every accepted event is stored once, when write has returned")
def stored_once(subject: SinkUnderTest) -> None:
    """Numbered trades in batches of 1 to 40 positions. The destination is looked at
    from outside after every write: returning means stored.
    """

    async def story(driver: Driver) -> None:
        sink, _ = await driver.opened()
        async with closing(sink):
            last = 0
            for size in (1, 2, 40, 7):
                await driver.write(sink, numbered(last + 1, last + size))
                last += size
                await driver.expect(1, last)

    drive(subject, story)


@case("SK-ONCE-002", "a batch that comes again is not stored again")
def repeated(subject: SinkUnderTest) -> None:
    """After a lost answer the same batch comes again, to the same sink and to one
    that was opened afresh.
    """
    _durable(subject)

    async def story(driver: Driver) -> None:
        for _ in range(2):
            sink, _ = await driver.opened()
            async with closing(sink):
                await driver.write(sink, numbered(1, 10))
                await driver.write(sink, numbered(1, 10))
        await driver.expect(1, 10)

    drive(subject, story)


@case("SK-ONCE-003", "a batch that overlaps what is stored adds only what is new")
def overlapping(subject: SinkUnderTest) -> None:
    """Batches may be cut differently when they come again: larger, smaller, with
    the first part stored already. The cursor never goes back.
    """
    _durable(subject)

    async def story(driver: Driver) -> None:
        sink, _ = await driver.opened()
        async with closing(sink):
            await driver.write(sink, numbered(1, 10))
            await driver.write(sink, numbered(6, 20))
            await driver.write(sink, numbered(3, 4))
        await driver.expect(1, 20)
        await _expect_cursor(driver, JOURNAL, FIRST_POSITION + 20)

    drive(subject, story)


@case("SK-ONCE-004", "a restart goes on after the cursor, without loss or doubles")
def restarted(subject: SinkUnderTest) -> None:
    """Ten sinks after one another, none of them closed but by its end; each is
    given what comes after the cursor that it opens with.
    """
    _durable(subject)

    async def story(driver: Driver) -> None:
        for turn in range(1, 11):
            sink, cursor = await driver.opened()
            async with closing(sink):
                done = 0 if cursor is None else cursor - FIRST_POSITION
                await driver.write(sink, numbered(done + 1, turn * 5))
        await driver.expect(1, 50)

    drive(subject, story)


@case("SK-KINDS-001", "a sink takes every kind of record that it accepts")
def kinds(subject: SinkUnderTest) -> None:
    """One record of every kind, each at its own position: tickers, books, candles,
    balances, gaps, coverage, raw messages, and an event of a kind that only a plugin
    knows. ``SinkRejected`` is an answer; anything else is not.
    """

    async def story(driver: Driver) -> None:
        sink, _ = await driver.opened()
        accepts = subject.adapter.accepts
        async with closing(sink):
            for number, record in enumerate(one_of_each()):
                kind = str(getattr(record, "data_type", ""))
                if accepts is not None and kind not in accepts:
                    continue
                try:
                    batch = batch_of([record], FIRST_POSITION + number)
                    await driver.write(sink, batch)
                except SinkRejected:
                    continue
                except RuleBroken:
                    raise
                except Exception as error:  # supervisor: the rule forbids all others
                    raise RuleBroken(
                        f"a {type(record).__name__} raises {type(error).__name__}: "
                        f"{error}"
                    ) from error

    drive(subject, story)


@case("SK-EXACT-001", "many records at one position are stored whole")
def positions(subject: SinkUnderTest) -> None:
    """A position with 50 records, between positions of one: a position is stored
    whole, and every record of it is told apart.
    """

    async def story(driver: Driver) -> None:
        records: list[Trade] = [
            record
            for part in numbered(2, 51).parts
            for record in part.records
            if isinstance(record, Trade)
        ]
        batch = Batch(
            JOURNAL,
            [
                *numbered(1, 1).parts,
                Part(FIRST_POSITION + 2, records),
                attrs.evolve(numbered(52, 52).parts[0], position=FIRST_POSITION + 3),
            ],
        )
        sink, _ = await driver.opened()
        async with closing(sink):
            await driver.write(sink, batch)
            await driver.expect(1, 52)

    drive(subject, story)


@case("SK-CLOSE-001", "close is safe unopened and twice, and ends nothing of others")
def closes(subject: SinkUnderTest) -> None:
    """A sink is closed before it was opened, and twice after it has written; then
    another one is made, opened, written to and closed.
    """

    async def story(driver: Driver) -> None:
        unopened = driver.make()
        await driver.within(unopened.close(), "close of a sink that was not opened")
        await driver.within(unopened.close(), "close")
        sink, _ = await driver.opened()
        await driver.write(sink, numbered(1, 5))
        await driver.within(sink.close(), "close")
        await driver.within(sink.close(), "a second close")
        await driver.expect(1, 5)
        another, _ = await driver.opened()
        async with closing(another):
            await driver.write(another, numbered(6, 10))
        await driver.expect(1, 10)

    drive(subject, story)


@case(
    "SK-HEALTH-001",
    "health is cheap, and healthy while nothing is wrong",
    tier=Tier.SILVER,
)
def healthy(subject: SinkUnderTest) -> None:
    """A ``SinkHealth`` before opening, after each write and after closing; its
    counters are whole numbers that never fall, and it can be shown as JSON.
    """

    async def story(driver: Driver) -> None:
        sink = driver.make()
        _check_health(driver.health(sink), {})
        await driver.within(sink.open(JOURNAL), "open")
        async with closing(sink):
            before: dict[str, int] = {}
            for turn in range(3):
                await driver.write(sink, numbered(turn * 5 + 1, turn * 5 + 5))
                health = driver.health(sink)
                _check_health(health, before)
                if not health.ok:
                    raise RuleBroken(f"it works and says {list(health.issues)}")
                before = dict(health.counters)
        _check_health(driver.health(sink), {})

    drive(subject, story)


@case("SK-SECRET-001", "no secret is in any repr")
def keeps_secrets(subject: SinkUnderTest) -> None:
    """The options of ``secrets`` and a sink made with them are printed."""
    if subject.secrets is None:
        raise NotApplicable("no options with secrets were given")

    async def story(driver: Driver) -> None:
        place = attrs.evolve(driver.place, config=subject.secrets)
        sink = attrs.evolve(driver, place=place).make()
        for each in (subject.secrets, sink, driver.health(sink)):
            if SECRET_TEXT in f"{each!r} {each!s}":
                raise RuleBroken(
                    f"the repr of {type(each).__name__} has a secret in it"
                )

    drive(subject, story)


def _durable(subject: SinkUnderTest) -> None:
    if not subject.is_durable:
        raise NotApplicable("it promises live delivery: at most once, no cursor")


async def _expect_cursor(driver: Driver, journal: str, position: int) -> None:
    sink, cursor = await driver.opened(journal)
    async with closing(sink):
        if cursor != position:
            raise RuleBroken(
                f"a sink on the same destination is opened at {cursor}, not {position}"
            )


def _check_health(health: object, before: dict[str, int]) -> None:
    if not isinstance(health, SinkHealth):
        raise RuleBroken(f"health gives {health!r}, no SinkHealth")
    for name, count in health.counters.items():
        if type(count) is not int or count < before.get(name, 0):
            raise RuleBroken(f"counter {name!r} goes to {count!r}")
    json.dumps([*health.issues])
