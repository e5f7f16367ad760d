# SPDX-License-Identifier: Apache-2.0
"""Remote calls, as `partisan_rpc:call` makes them: functions of other nodes, and for them.

A call goes to the other node's `partisan_rpc_backend`, with the caller's process for the result. To
a node of our kind a call may bring trace context: it is then one of `heliograph:traced_call/4`,
which an Erlang node is never asked for.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Final

import anyio

from heliograph import Error, Ok, propagator
from heliograph.partisan.errors import (
    CallError,
    NameTakenError,
    NoReplyError,
    NotConnectedError,
    UnknownNodeError,
)
from heliograph.partisan.events import RPC_CALL, RPC_SERVE
from heliograph.partisan.processes import PendingAnswer
from heliograph.partisan.protocol import inputs
from heliograph.partisan.templates import checked
from heliograph.partisan.watching import Subscription
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import UNDEFINED
from heliograph.partisan.wire.refs import target
from heliograph.partisan.wire.text import format_term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heliograph.partisan.messaging import Messaging
    from heliograph.partisan.protocol.effects import CallRequested
    from heliograph.partisan.wire import Term

__all__ = ["Calls"]

_log: Final = logging.getLogger("heliograph.partisan")

_AT_ONCE: Final = 1_024
"""Calls of others under way; our choice, more are answered with `{badrpc, system_limit}`."""
_LONGEST: Final = 3_600_000
"""Milliseconds that a call of others may take, whatever it says; our choice."""
_BADRPC: Final = Atom("badrpc")
_EXIT: Final = Atom("EXIT")
_HELIOGRAPH: Final = Atom("heliograph")
_TRACED: Final = Atom("traced_call")


class Calls:
    """The remote calls of one node, in both directions.

    Args:
        messaging: The node's messages.
        traced: Whether calls carry trace context.
    """

    def __init__(self, messaging: Messaging, *, traced: bool) -> None:
        self._messaging = messaging
        self._traced = traced
        self._served: dict[tuple[str, str], Callable[..., Any]] = {}
        self._under_way = 0

    # -- For others -------------------------------------------------------------------------------

    def serve(self, module: str, function: str, call: Callable[..., Any]) -> Subscription:
        """Answer calls of a function; see `Node.serve`."""
        key = (module, function)
        if key in self._served or module == _HELIOGRAPH:
            raise NameTakenError(f"{module}:{function} is served already; close that first")
        self._served[key] = call

        def end() -> None:
            self._served.pop(key, None)

        return Subscription(end)

    def called(self, call: CallRequested) -> None:
        """Answer a call, or begin to."""
        module, function, arguments = call.module, call.function, call.arguments
        carrier: dict[str, str] = {}
        match (module, function, arguments):
            case (
                "heliograph",
                "traced_call",
                [dict(pairs), Atom(module), Atom(function), [*given]],
            ):
                arguments = given
                carrier = _carrier(pairs)
            case ("partisan", "is_process_alive", [process]):
                self._answer(call, self._is_alive(process))
                return
            case _:
                pass
        served = self._served.get((module, function))
        if served is None:
            self._answer(call, (_BADRPC, Atom("undef")))
        elif self._under_way >= _AT_ONCE:
            self._answer(call, (_BADRPC, Atom("system_limit")))
        else:
            self._under_way += 1
            about = {
                "node": str(self._messaging.name),
                "peer": str(call.peer),
                "module": str(module),
                "function": str(function),
            }
            self._messaging.driver.spawn(self._serve, call, served, arguments, carrier, about)

    async def _serve(
        self,
        call: CallRequested,
        served: Callable[..., Any],
        arguments: Iterable[Term],
        carrier: dict[str, str],
        about: dict[str, Any],
    ) -> None:
        milliseconds = call.timeout_ms if type(call.timeout_ms) is int else _LONGEST
        try:
            with propagator().extract(carrier), RPC_SERVE(**about) as serving:
                try:
                    with anyio.fail_after(min(milliseconds, _LONGEST) / 1000):
                        result = served(*arguments)
                        if inspect.isawaitable(result):
                            result = await result
                    self._answer(call, result)
                    serving.metadata["result"] = Ok(None)
                except TimeoutError as error:
                    serving.metadata["result"] = Error(error)
                    self._answer(call, (_BADRPC, Atom("timeout")))
                except Exception as error:  # noqa: BLE001 - whoever calls is to know, whatever it is
                    serving.metadata["result"] = Error(error)
                    _log.warning("%s of %s failed: %r", served, call.peer, error)
                    text = f"{type(error).__name__}: {error}"[:1000].encode()
                    self._answer(call, (_BADRPC, (_EXIT, (Atom(type(error).__name__), text))))
        finally:
            self._under_way -= 1

    def _is_alive(self, process: Term) -> bool:
        messaging = self._messaging
        whom = target(process)
        known = messaging.driver.core.remote.processes
        return whom is not None and (whom.id in known or messaging.processes.has(whom.id))

    def _answer(self, call: CallRequested, result: Term) -> None:
        driver = self._messaging.driver
        if not driver.stopped:
            checked(result, self._messaging.limits.frame)
            try:
                driver.do(inputs.AnswerCall(call.peer, call.caller, result, call.channel))
            except (UnknownNodeError, NotConnectedError):
                return  # whoever asked is gone

    # -- To others --------------------------------------------------------------------------------

    async def call(
        self,
        node: str,
        module: str,
        function: str,
        arguments: Iterable[Term],
        channel: str | None,
        seconds: float,
    ) -> Term:
        """Call a function elsewhere; see `Node.call`."""
        messaging = self._messaging
        about = {
            "node": str(messaging.name),
            "peer": node,
            "module": module,
            "function": function,
        }
        with RPC_CALL(**about) as calling:
            try:
                answer = await self._call(node, module, function, [*arguments], channel, seconds)
                result = _result(answer, f"{module}:{function} at {node}", seconds)
            except (CallError, NoReplyError, NotConnectedError, UnknownNodeError) as error:
                calling.metadata["result"] = Error(error)
                raise
            calling.metadata["result"] = Ok(None)
            return result

    async def _call(
        self,
        node: str,
        module: str,
        function: str,
        arguments: list[Term],
        channel: str | None,
        seconds: float,
    ) -> Term:
        messaging = self._messaging
        route = messaging.route(node, channel)
        called = (Atom(module), Atom(function), arguments)
        checked(called, messaging.limits.frame)
        if self._traced and messaging.driver.core.delivery.run(Atom(node)) is not None:
            carrier: dict[str, str] = {}
            propagator().inject(carrier)
            if carrier:
                pairs = {key.encode(): text.encode() for key, text in carrier.items()}
                called = (_HELIOGRAPH, _TRACED, [pairs, *called])
        ref = messaging.processes.new()
        pending = PendingAnswer(node, messaging.loop.make_waiter())
        messaging.processes.ask(ref, pending)
        try:
            with anyio.fail_after(seconds):
                messaging.driver.do(
                    inputs.Call(
                        Atom(node),
                        ref.term(),
                        *called,
                        timeout_ms=max(1, round(seconds * 1000)),
                        channel=UNDEFINED if channel is None else route.channel,
                    )
                )
                return await pending.wait()
        except TimeoutError:
            raise NoReplyError(
                f"{module}:{function} at {node} gave no result within {seconds:g} s"
            ) from None
        finally:
            messaging.processes.end(ref)


def _result(answer: Term, what: str, seconds: float) -> Term:
    match answer:
        case ("badrpc", "timeout"):
            raise NoReplyError(f"{what} gave no result within {seconds:g} s, as it says itself")
        case ("badrpc", reason):
            raise CallError(f"{what} failed: {format_term(reason, limit=500)}", reason)
        case _:
            return answer


def _carrier(pairs: dict[Any, Any]) -> dict[str, str]:
    try:
        return {key.decode(): text.decode() for key, text in pairs.items()}
    except (AttributeError, UnicodeDecodeError):
        return {}
