"""What is made of a stream once it is wanted: bars, books, audits, consolidation."""

from __future__ import annotations

from tapeline.candles import ConsolidationSettings, Consolidator
from tapeline.model import Channel, Subscription
from tapeline.runtime.audits import Audits
from tapeline.runtime.consolidating import Consolidations
from tapeline.runtime.pipeline import Pipeline, StreamState
from tapeline.runtime.settings import FeedSettings


class Registrar:
    """Lets the pipeline know of streams, and of all that is to be made of them.

    Args:
        pipeline: which takes the streams.
        audits: follow the venue's candles that are built here, too.
        consolidations: may need more bars of a stream than its collector.
    """

    def __init__(
        self, pipeline: Pipeline, audits: Audits, consolidations: Consolidations
    ) -> None:
        self._pipeline = pipeline
        self._audits = audits
        self._consolidations = consolidations

    def follow(
        self, settings: FeedSettings, subscription: Subscription, channel: Channel
    ) -> StreamState:
        """A feed wants this stream: before its first event, safe to repeat."""
        own = settings.timeframes
        self._consolidations.bind(subscription)
        if subscription.data_type == "candle" and subscription.timeframe in own:
            self._audits.follow(subscription)
        return self._pipeline.register(
            subscription,
            channel,
            timeframes=[
                *(own if subscription.data_type == "trade" else ()),
                *self._consolidations.timeframes_of(subscription),
            ],
            checksum=settings.adapter.book_checksum,
            raw=settings.store_raw,
        )

    def consolidate(self, settings: ConsolidationSettings) -> Consolidator:
        """Merge one symbol of several exchanges; its bars begin where trades come."""
        made = self._consolidations.add(settings)
        for stream, state in list(self._pipeline.streams.items()):
            if made.wants(stream):
                self._consolidations.bind(stream)
                self._pipeline.register(
                    stream, state.channel, timeframes=settings.timeframes
                )
        return made
