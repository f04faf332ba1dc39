"""Both Redis sinks against every rule, with no waiver and nothing left unshown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tapeline.errors import UsageError
from tapeline.testing import SinkConformance, SinkUnderTest
from tapeline_redis.conformance import channels_on, streams_on
from tapeline_redis.testing import LocalServer


@pytest.fixture(scope="module")
def own_server() -> Iterator[LocalServer]:
    """A server that may be killed and started again."""
    try:
        server = LocalServer()
    except UsageError as error:
        pytest.skip(str(error))
    try:
        server.start()
        yield server
    finally:
        server.close()


class TestStreams(SinkConformance):
    """All cases, for the durable sink."""

    complete = True

    @pytest.fixture
    def under_test(self, own_server: LocalServer) -> SinkUnderTest:
        """Streams."""
        return streams_on(own_server)


class TestChannels(SinkConformance):
    """All cases, for the live sink."""

    complete = True

    @pytest.fixture
    def under_test(self, own_server: LocalServer) -> SinkUnderTest:
        """Channels."""
        return channels_on(own_server)
