"""The services behind one graph's tools: what they bear is asked before each launch, and counted at each call.

Services that a policy says something of are the process's own: graphs that name the same host, or say the same of a
tool of the same name, share its rates and slots. A tool of which nothing is said is the graph's own.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from cachetools import LRUCache

from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.events import Switched
from langgraph_speculate.core.slots import Guest, Slots
from langgraph_speculate.host.overload import Overload, overload_of
from langgraph_speculate.host.service import Service
from langgraph_speculate.policy import SpeculationPolicy, ToolPolicy

_FAILURES = 3  # early bodies that fail one after the other

_LOCK = threading.RLock()  # the collection of garbage may end a run in the midst of this
_SHARED: LRUCache[tuple[object, ...], Service] = LRUCache(4096)

_Services = Mapping[tuple[str, str], Service]


class Brakes:
    """The throttle of one graph (`core/throttle.py`).

    Args:
        policy: The declared rates, the share of them that early calls may use, and for how long to leave alone what is
            overloaded.
        warn: Takes a cause and a message.
    """

    def __init__(self, policy: SpeculationPolicy, warn: Callable[[str, str], None]) -> None:
        self._policy = policy
        self._warn = warn
        self._known: dict[tuple[object, ...], Service] = {}
        self._resting: dict[tuple[str, str], Service] = {}
        self._switches: list[Switched] = []

    # -- for the core ------------------------------------------------------------------------------------------------

    def refusal(self, tool: str, policy: ToolPolicy, now: float, *, stoppable: bool = False) -> Refusal | None:
        """Why *tool* must not be called early now; None takes what one call needs."""
        with _LOCK:
            self._wake(now)
            services = self._services(tool, policy).values()
            refusal = _against(services, now, stoppable)
            if refusal is None and not self._has_token(tool, policy):
                refusal = Refusal.RATE
            for service in services if refusal is None else ():
                service.began_early(now)
            return refusal

    def stands_against(self, tool: str, policy: ToolPolicy, now: float, *, stoppable: bool) -> Refusal | None:
        """What of that the services say, where nothing is taken; a limiter of the owner's cannot be asked so."""
        with _LOCK:
            self._wake(now)
            return _against(self._services(tool, policy).values(), now, stoppable)

    def crowding(self, tool: str, policy: ToolPolicy, now: float) -> float:
        """How much of what its services bear is in use already, in [0, 1]."""
        with _LOCK:
            return max(service.crowding(now) for service in self._services(tool, policy).values())

    def take_switches(self) -> Sequence[Switched]:
        """What went off and on since this was last asked."""
        with _LOCK:
            switches, self._switches = self._switches, []
            return switches

    # -- for the host ------------------------------------------------------------------------------------------------

    def began(self, tool: str, policy: ToolPolicy | None, now: float) -> None:
        """The body of a real call starts; if it finds no slot, an early one leaves its own."""
        with _LOCK:
            services = self._services(tool, policy).values()
            for service in services:
                service.began(now)
        for service in services:
            _make_way(service.slots)

    def ended(self, tool: str, policy: ToolPolicy | None, error: BaseException | None, now: float) -> None:
        """The body of a real call has ended, with *error* if it raised."""
        overload = overload_of(error)
        with _LOCK:
            services = self._services(tool, policy)
            for service in services.values():
                service.ended()
            self._relieve(services, overload, now)

    def began_early(self, tool: str, policy: ToolPolicy, guest: Guest) -> None:
        """An early body starts that can be stopped; room for it was taken when the core asked for that."""
        with _LOCK:
            for service in self._services(tool, policy).values():
                service.slots.came(guest)

    def adopted(self, tool: str, policy: ToolPolicy | None, now: float) -> None:
        """A real call took the result of an early one."""
        with _LOCK:
            for service in self._services(tool, policy).values():
                service.adopted(now)

    def ended_early(
        self,
        tool: str,
        policy: ToolPolicy | None,
        outcome: Outcome,
        ran: bool,
        now: float,
        guest: Guest | None = None,
    ) -> None:
        """An early body has ended, or (without *ran*) will never start; *guest* if it could be stopped."""
        overload = overload_of(outcome.error) if ran else None
        with _LOCK:
            services = self._services(tool, policy)
            for service in services.values():
                service.ended_early(guest)
            self._relieve(services, overload, now)
            told = ran and overload is None and outcome.taint is None
            if told and services and not isinstance(outcome.error, CancelledError):  # what we stopped did not fail
                self._judge(tool, services["tool", tool], outcome.error is not None, now)

    def resting(self, tool: str, policy: ToolPolicy | None, now: float) -> Service | None:
        """The service that keeps *tool* from running ahead because it is left alone, or None."""
        with _LOCK:
            return next((service for service in self._services(tool, policy).values() if service.rests(now)), None)

    # -- which services ----------------------------------------------------------------------------------------------

    def _services(self, tool: str, policy: ToolPolicy | None) -> _Services:
        """The tool's own, and then that of its host; none of a tool that nobody declared, which never runs ahead."""
        if policy is None:
            return {}
        services: dict[tuple[str, str], Service] = {("tool", tool): self._service_of(tool, policy)}
        if policy.host is not None:
            rate, slots = self._policy.rates.get(policy.host), self._policy.pools.get(policy.host)
            services["host", policy.host] = self._service("host", policy.host, rate=rate, slots=slots, shared=True)
        return services

    def _service_of(self, tool: str, policy: ToolPolicy) -> Service:
        rate, slots = policy.rate, policy.slots
        return self._service("tool", tool, rate=rate, slots=slots, shared=rate is not None or slots is not None)

    def _service(self, scope: str, name: str, *, rate: str | None, slots: int | None, shared: bool) -> Service:
        key = (scope, name) if scope == "host" else (scope, name, rate, slots)
        service = self._known.get(key)
        if service is None:
            service = self._known[key] = _SHARED.setdefault(key, Service()) if shared else Service()
            service.slots.declare(slots)
            if rate is not None:
                service.declare(rate, self._policy.limits.rate_share)
        return service

    # -- what they bear no more --------------------------------------------------------------------------------------

    def _has_token(self, tool: str, policy: ToolPolicy) -> bool:
        if policy.rate_limiter is None:
            return True
        try:
            return bool(policy.rate_limiter.acquire(blocking=False))
        except Exception as error:  # noqa: BLE001 - somebody else's code
            kind = type(error).__name__
            self._warn(f"limiter-{tool}-{kind}", f"the rate limiter of {tool!r} raised {kind}; it is not run ahead")
            return False

    def _relieve(self, services: _Services, overload: Overload | None, now: float) -> None:
        """Leave alone who said that it is overloaded: the tool's own service, and all tools of its host."""
        if overload is not None:
            seconds = max(self._policy.limits.cool_down_s, overload.retry_after_s)
            for (scope, name), service in services.items():
                self._rest(scope, name, service, now, seconds, status=overload.status)

    def _judge(self, tool: str, service: Service, failed: bool, now: float) -> None:
        service.failures = service.failures + 1 if failed else 0
        if service.failures >= _FAILURES:
            self._rest("tool", tool, service, now, self._policy.limits.cool_down_s, failures=service.failures)

    def _rest(
        self,
        scope: str,
        name: str,
        service: Service,
        now: float,
        seconds: float,
        *,
        status: int = 0,
        failures: int = 0,
    ) -> None:
        if not service.rest(now, seconds, status):
            return
        self._resting[scope, name] = service
        self._tell(now, scope, name, service, state="off", settled=failures, pause_s=seconds)

    def _wake(self, now: float) -> None:
        """Tell which of those that went off here are on again."""
        for (scope, name), service in list(self._resting.items()):
            if not service.rests(now):
                del self._resting[scope, name]
                self._tell(now, scope, name, service, state="on")

    def _tell(self, now: float, scope: str, name: str, service: Service, **figures: Any) -> None:
        reason = "overloaded" if service.status else "failing"
        self._switches.append(
            Switched(run="", at=now, scope=scope, name=name, reason=reason, status=service.status, **figures)
        )


class Onlooker:
    """The throttle of what is only imagined (`core/shadow.py`): asks what the services bear, and takes nothing.

    Args:
        brakes: Those of the graph.
    """

    def __init__(self, brakes: Brakes) -> None:
        self._brakes = brakes
        self.crowding, self.take_switches = brakes.crowding, brakes.take_switches

    def refusal(self, tool: str, policy: ToolPolicy, now: float, *, stoppable: bool = False) -> Refusal | None:
        """Why *tool* must not be called early now, as far as that can be seen."""
        return self._brakes.stands_against(tool, policy, now, stoppable=stoppable)


def _against(services: Collection[Service], now: float, stoppable: bool) -> Refusal | None:
    """Which of the services that a call needs has no room for an early one, as why."""
    if any(service.rests(now) for service in services):
        return Refusal.COOLING_DOWN
    if not all(service.slots.has_room(now, stoppable=stoppable) for service in services):
        return Refusal.SLOTS
    return None if all(service.has_room(now) for service in services) else Refusal.RATE


def _make_way(slots: Slots) -> None:
    """Stop early bodies until each real call has a slot."""
    while True:
        with _LOCK:
            guest = slots.in_the_way()
        if guest is None:
            return
        if not guest.stop():  # not under the lock: it is another run's, whose graph has a lock of its own
            with _LOCK:
                slots.stays(guest)
