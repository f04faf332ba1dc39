"""Which subscription lives on which socket: sticky, so a healthy one never moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from tapeline.model import Route, Subscription


@attrs.define(eq=False)
class PackedSocket:
    """What one socket carries.

    Args:
        number: stays the same for the socket's whole life, and is never used again.
        route: of the first subscription on it; names the class of socket.
        load: sum of the costs on it.
    """

    number: int
    route: Route
    load: int = 0
    costs: dict[Subscription, int] = attrs.field(factory=dict)

    @property
    def subscriptions(self) -> list[Subscription]:
        """What it carries, in order of arrival."""
        return list(self.costs)


class RoutePacker:
    """Packs subscriptions onto sockets by their routes.

    Adding goes to the first socket of the same route with room, else to a new one;
    it never moves what is there. Removing frees room; an empty socket goes away.
    """

    def __init__(self) -> None:
        self._sockets: dict[int, PackedSocket] = {}
        self._places: dict[Subscription, PackedSocket] = {}
        self._next = 1

    def add(self, subscription: Subscription, route: Route) -> PackedSocket:
        """The socket that carries *subscription* from now on."""
        place = self._places.get(subscription)
        if place is not None:
            return place
        place = self._room(route)
        place.costs[subscription] = route.cost
        place.load += route.cost
        self._places[subscription] = place
        return place

    def remove(self, subscription: Subscription) -> PackedSocket | None:
        """The socket that carried *subscription*; None when nobody did.

        When nothing is left on it, it is forgotten and the caller closes it.
        """
        place = self._places.pop(subscription, None)
        if place is None:
            return None
        place.load -= place.costs.pop(subscription)
        if not place.costs:
            del self._sockets[place.number]
        return place

    def find(self, subscription: Subscription) -> PackedSocket | None:
        """The socket that carries *subscription*."""
        return self._places.get(subscription)

    @property
    def sockets(self) -> Mapping[int, PackedSocket]:
        """Number → socket, none of them empty."""
        return self._sockets

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._places)

    def __contains__(self, subscription: object) -> bool:
        return subscription in self._places

    def _room(self, route: Route) -> PackedSocket:
        for place in self._sockets.values():
            same = place.route.name == route.name
            if same and place.load + route.cost <= route.capacity:
                return place
        place = PackedSocket(self._next, route)
        self._next += 1
        self._sockets[place.number] = place
        return place
