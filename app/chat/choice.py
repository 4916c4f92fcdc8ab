"""What aligns a request, what has chosen that, and what a request is known by."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from app.access.principal import Principal
from app.chat.alignment import Alignment
from app.chat.schemas import ChatRequest
from app.outcomes import Outcome, ShadowCopy, Ticket
from app.release_control.plan import Plan, ShadowArm
from app.release_control.policy import StickyBy
from optimizer.quick_values import quick
from optimizer.types import JsonObject
from store.records.releases import DrawnArm

MakeCopy: TypeAlias = Callable[[Plan, ShadowArm], Awaitable[Outcome]]


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What aligns a request.

    Attributes:
        alignment: None where nothing does.
        plan / drawn: the release that has chosen it, and how; None where none has.
    """

    alignment: Alignment | None = None
    plan: Plan | None = None
    drawn: DrawnArm | None = None

    def ticket(self, token: bytes, make_copy: MakeCopy, chance: random.Random) -> Ticket:
        """What is known of the answer; by the release's share there is a copy for its shadow."""
        copy = None
        if self.plan is not None and (shadow := self.plan.drawn_shadow(chance)) is not None:
            send = partial(make_copy, self.plan, shadow)
            copy = ShadowCopy(send=send, most=shadow.policy.max_concurrent)
        return Ticket(token=token, drawn=self.drawn, copy=copy)


def sticky_key(request: ChatRequest, by: StickyBy, principal: Principal) -> str | None:
    """What a release knows a request by; None where it says nothing of the kind."""
    if request.sticky_key:
        return f"header:{request.sticky_key}"
    if by == "api_key":
        return f"key:{principal.key_number}" if principal.key_number else None
    if by == "conversation":
        asked = next((turn for turn in request.messages if turn["role"] == "user"), None)
        return None if asked is None else f"conversation:{asked.get('content')!r}"
    name = _user(request.body)
    return None if name is None else f"user:{principal.key_number}:{name}"


def _user(body: JsonObject) -> str | None:
    for field in ("safety_identifier", "user"):
        name = body.get(field)
        if isinstance(name, str) and name:
            return name
    return None
