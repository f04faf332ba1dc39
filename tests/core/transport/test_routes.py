"""Packing subscriptions onto sockets: sticky, within capacity."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapeline.model import Route, Subscription
from tapeline.transport import RoutePacker


def stream(number: int) -> Subscription:
    return Subscription("x", "spot", f"S{number}", "trade", "trades")


moves = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 15),
        st.sampled_from(["public", "business"]),
        st.integers(1, 7),
    ),
    max_size=60,
)


@given(moves)
def test_nothing_ever_moves_and_no_socket_is_overloaded(
    changes: list[tuple[bool, int, str, int]],
) -> None:
    packer = RoutePacker()
    present: dict[Subscription, tuple[int, str, int]] = {}
    seen: set[int] = set()
    for add, number, name, cost in changes:
        subscription = stream(number)
        if add:
            place = packer.add(subscription, Route(name, 5, cost))
            known = present.setdefault(subscription, (place.number, name, cost))
            assert known[0] == place.number
        else:
            gone = packer.remove(subscription)
            assert (gone is None) == (present.pop(subscription, None) is None)
        assert set(packer) == set(present)
        for one, (place_number, route, _) in present.items():
            found = packer.find(one)
            assert found is not None
            assert (found.number, found.route.name) == (place_number, route)
        for place in packer.sockets.values():
            costs = [present[one][2] for one in place.subscriptions]
            assert costs
            assert place.load == sum(costs)
            assert place.load <= 5 or len(costs) == 1
        fresh = set(packer.sockets) - seen
        assert all(one > max(seen, default=0) for one in fresh)
        seen |= fresh


def test_a_stream_larger_than_a_socket_gets_one_of_its_own() -> None:
    packer = RoutePacker()
    first = packer.add(stream(1), Route("public", 5, 9))
    second = packer.add(stream(2), Route("public", 5, 1))
    assert first.number != second.number


def test_freed_room_is_used_again() -> None:
    packer = RoutePacker()
    route = Route("public", 2, 1)
    first = packer.add(stream(1), route)
    packer.add(stream(2), route)
    packer.remove(stream(1))
    assert packer.add(stream(3), route).number == first.number
