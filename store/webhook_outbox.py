"""The outbox: what webhooks are told, written in the transaction that makes it true.

So no change goes untold and none is told that was rolled back, wherever a process is killed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from store.clock import db_now
from store.ids import new_id
from store.json_values import JsonObject, to_json
from store.models.optimization import Optimization
from store.models.webhook import Webhook
from store.models.webhook_delivery import WebhookDelivery
from store.records.progress import EventDraft
from store.records.prompts import LabelMoveDraft
from store.statements import Statement

PROMPT_EVENTS: Final = "optimization"
BANK_EVENTS: Final = "example_bank"
_KINDS: Final = {"prompt": PROMPT_EVENTS, "example_bank": BANK_EVENTS}
STATES: Final = ("started", "paused", "resumed", "succeeded", "failed", "cancelled")
ROLLED_BACK: Final = "release.rolled_back"
PROMOTED: Final = f"{PROMPT_EVENTS}.promoted"
TOLD_EVENTS: Final = (
    *(f"{PROMPT_EVENTS}.{state}" for state in STATES),
    PROMOTED,
    *(f"{BANK_EVENTS}.{state}" for state in STATES),
    ROLLED_BACK,
)
"""All names that a webhook may ask for."""

_STARTED: Final = "optimization_started"
_FINISHED: Final = "optimization_finished"
_STATE_OF: Final = {"optimization_paused": "paused", "optimization_resumed": "resumed"}

# built once: it is asked for with every change of a job's state
_ACTIVE: Final = Statement(
    select(Webhook.id, Webhook.events, Webhook.target).where(Webhook.status == "active")
)


def add_deliveries(connection: Connection, optimization_id: str, drafts: Sequence[EventDraft]) -> int:
    """Queue what active webhooks have to be told of ``drafts``, which were just appended.

    Returns:
        How many deliveries were added.
    """
    changes = [(draft, state) for draft in drafts if (state := _state(draft)) is not None]
    if not changes:
        return 0
    webhooks = _ACTIVE.rows(connection, {})
    if not webhooks:
        return 0
    job = connection.execute(
        select(
            Optimization.kind,
            Optimization.target,
            Optimization.status,
            Optimization.error,
            Optimization.result,
            Optimization.spec,
            db_now().label("now"),
        ).where(Optimization.id == optimization_id)
    ).one()
    told = {"id": optimization_id, "target": job.target, "status": job.status, "name": job.spec.get("name")}
    result = _result(job.result)
    names = []
    for draft, state in changes:
        names.append(
            (f"{_KINDS[job.kind]}.{state}", told | draft.body | ({"result": result} if result else {}))
        )
        if job.kind == "prompt" and state == "succeeded" and result.get("label_moved"):
            names.append((PROMOTED, told | result))
    rows = [
        _row(webhook_id, name, optimization_id, message(name, job.now, body))
        for name, body in names
        for webhook_id, events, target in webhooks
        if name in events and target in {None, job.target}
    ]
    if rows:
        connection.execute(insert(WebhookDelivery), rows)
    return len(rows)


def add_rollback(connection: Connection, move: LabelMoveDraft, left: str | None) -> None:
    """Queue what active webhooks have to be told of a label that the service has moved by itself.

    Args:
        connection: of the transaction that moves it.
        move: where to, and why.
        left: the version that it pointed to.
    """
    told: JsonObject = {
        "target": move.model,
        "label": move.label,
        "from_version": left,
        "to_version": move.version_id,
        "reason": move.reason,
    }
    now = connection.execute(select(db_now())).scalar_one()
    rows = [
        _row(webhook_id, ROLLED_BACK, move.model, message(ROLLED_BACK, now, told))
        for webhook_id, events, target in _ACTIVE.rows(connection, {})
        if ROLLED_BACK in events and target in {None, move.model}
    ]
    if rows:
        connection.execute(insert(WebhookDelivery), rows)


def message(event: str, at: float, body: JsonObject) -> str:
    """What is sent: the type, when it happened, and what happened."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return to_json({"type": event, "timestamp": when.replace("+00:00", "Z"), "data": body})


def _state(draft: EventDraft) -> str | None:
    """What has become of the job, or None for an event that is no change of its state."""
    if draft.type == _FINISHED:
        return str(draft.body["status"])
    if draft.type == _STARTED:  # whoever takes over starts nothing
        return "started" if draft.body.get("attempt") == 1 else None
    return _STATE_OF.get(draft.type)


def _result(result: JsonObject | None) -> JsonObject:
    """What a job has led to, without its evidence."""
    found = result or {}
    gate = found.get("gate")
    told: JsonObject = {name: found[name] for name in ("prompt_version", "label_moved") if name in found}
    if isinstance(gate, dict):
        told |= {name: gate[name] for name in ("verdict", "reason") if name in gate}
    return told


def _row(webhook_id: str, event: str, subject: str, body: str) -> dict[str, str]:
    return {"id": new_id("msg"), "webhook_id": webhook_id, "event": event, "subject": subject, "body": body}
