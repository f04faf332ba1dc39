"""Cases about sinks with faults: outages, refusals, cancellation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio
import anyio.lowlevel

from tapeline.errors import SinkRejected, SinkUnavailable
from tapeline.hookspecs import Sink
from tapeline.model import Batch, Part
from tapeline.testing.conformance.cases import Tier, case
from tapeline.testing.conformance.sink_driver import Driver, closing, drive
from tapeline.testing.conformance.sink_records import (
    FIRST_POSITION,
    JOURNAL,
    numbered,
    trade,
)
from tapeline.testing.conformance.subjects import SinkUnderTest
from tapeline.testing.conformance.verdicts import NotApplicable, NotShown, RuleBroken

_OUTAGES = 4
_CANCELS = 12
_SETTLE_S = 0.3


@case("SK-FAULT-001", "an outage is told as SinkUnavailable, in time", tier=Tier.SILVER)
def unavailable(subject: SinkUnderTest) -> None:
    """The destination goes away while the sink is open, and before a new one is
    opened. Both calls must raise ``SinkUnavailable`` within the deadline, and health
    must not claim that all is well.
    """

    async def story(driver: Driver) -> None:
        outage = _outage(driver)
        sink, _ = await driver.opened()
        async with closing(sink):
            await driver.write(sink, numbered(1, 5))
            with outage():
                await _expect_unavailable(driver, sink, numbered(6, 10))
                if driver.health(sink).ok:
                    raise RuleBroken("it cannot write and calls itself healthy")
        await driver.expect(1, 5, most=10)

    drive(subject, story)


@case("SK-FAULT-002", "outages at random lose and double nothing", tier=Tier.SILVER)
def outages(subject: SinkUnderTest) -> None:
    """Numbered trades are written while the destination goes away again and again;
    what was not accepted comes again. At the end each is stored once.
    """

    if not subject.is_durable:
        raise NotApplicable("it promises live delivery: at most once")

    async def story(driver: Driver) -> None:
        outage = _outage(driver)
        sink, _ = await driver.opened()
        last = 0
        async with closing(sink):
            for _ in range(_OUTAGES):
                size = driver.random.randint(1, 20)
                await driver.write(sink, numbered(last + 1, last + size))
                last += size
                batch = numbered(last + 1, last + size)
                with outage():
                    await _expect_unavailable(driver, sink, batch)
                await driver.write(sink, batch)
                last += size
        await driver.expect(1, last)

    drive(subject, story)


@case(
    "SK-FAULT-003",
    "what can never be stored is named, and the rest is stored",
    tier=Tier.SILVER,
)
def poison(subject: SinkUnderTest) -> None:
    """A record that the destination cannot store stands among others. The sink must
    raise ``SinkRejected`` for it, store nothing of the batch twice, and take the rest.
    """

    async def story(driver: Driver) -> None:
        bad = driver.place.poison
        if bad is None:
            raise NotApplicable("the destination stores every record")
        batch = Batch(
            JOURNAL,
            [
                *numbered(1, 3).parts,
                Part(FIRST_POSITION + 4, [trade(4), bad, trade(5)]),
                Part(FIRST_POSITION + 6, [trade(6)]),
            ],
        )
        sink, _ = await driver.opened()
        async with closing(sink):
            try:
                await driver.within(sink.write(batch), "write")
            except SinkRejected as refusal:
                named = [*refusal.records] or [(FIRST_POSITION + 4, 1)]
                if named != [(FIRST_POSITION + 4, 1)]:
                    raise RuleBroken(f"it names {named}, not the one") from refusal
            else:
                raise RuleBroken("it accepts what it cannot store")
            healthy = Batch(
                JOURNAL,
                [
                    *numbered(1, 3).parts,
                    Part(FIRST_POSITION + 4, [trade(4), trade(5)]),
                    Part(FIRST_POSITION + 6, [trade(6)]),
                ],
            )
            await driver.write(sink, healthy)
        await driver.expect(1, 6)

    drive(subject, story)


@case(
    "SK-CANCEL-001",
    "a write that is cancelled loses and doubles nothing",
    tier=Tier.SILVER,
)
def cancelled(subject: SinkUnderTest) -> None:
    """Writes are cancelled after different numbers of turns of the loop. A new sink
    opens, says how far the destination is, and is given what comes after it. Of a
    live sink no event may come twice, and none before it was written.
    """

    async def story(driver: Driver) -> None:
        last = 0
        for turns in range(_CANCELS):
            sink, cursor = await driver.opened()
            if subject.is_durable:
                last = 0 if cursor is None else cursor - FIRST_POSITION
            batch = numbered(last + 1, last + 8)
            async with closing(sink), anyio.create_task_group() as tasks:
                tasks.start_soon(_write, sink, batch)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            last += 8
        # A call of a driver that was under way may still end.
        await anyio.sleep(_SETTLE_S)
        sink, cursor = await driver.opened()
        async with closing(sink):
            if not subject.is_durable:
                found = await driver.stored()
                if len({*found}) < len(found):
                    raise RuleBroken("an event of a cancelled write came twice")
                return
            done = 0 if cursor is None else cursor - FIRST_POSITION
            await driver.expect(1, done)
            await driver.write(sink, numbered(done + 1, done + 8))
            await driver.expect(1, done + 8)

    drive(subject, story)


def _outage(driver: Driver) -> Callable[[], AbstractContextManager[None]]:
    outage = driver.place.outage
    if outage is None:
        if not driver.subject.is_durable:
            raise NotApplicable("a live sink whose destination cannot be away")
        raise NotShown("a way to take the destination away; give Destination an outage")
    return outage


async def _expect_unavailable(driver: Driver, sink: Sink, batch: Batch) -> None:
    try:
        await driver.within(sink.write(batch), "write")
    except SinkUnavailable:
        return
    except RuleBroken:
        raise
    except Exception as error:  # supervisor: the rule names what may be raised
        raise RuleBroken(
            f"write raises {type(error).__name__} while the destination is away"
        ) from error
    raise RuleBroken("write returns while the destination is away")


async def _write(sink: Sink, batch: Batch) -> None:
    await sink.write(batch)
