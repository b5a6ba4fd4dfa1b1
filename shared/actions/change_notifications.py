"""change_notifications: a person's own settings, one topic at a time. Which topics and channels there are is policy's.
Own store."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

from pydantic import Field

from shared.actions.action import Action, Description, Effect, Permit, Situation
from shared.contracts.shape import Shape
from shared.ports.document_store import Body, Document

DEFAULT = {"enabled": False, "channel": "app"}
Word = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]


class Arguments(Shape):
    """channel: "" leaves it as it is."""

    topic: Word
    enabled: bool
    channel: Annotated[str, Field(pattern=r"^([a-z][a-z_]{0,39})?$")] = ""


def preference_doc_id(person: str) -> str:
    """Where a person's settings are kept."""
    return f"preference:{sha256(person.encode()).hexdigest()[:40]}"


def _describe(arguments: Body) -> Description:
    topic, switch = arguments["topic"].replace("_", " "), "on" if arguments["enabled"] else "off"
    by = (("By", arguments["channel"]),) if arguments["channel"] else ()
    return Description(
        f"Switch notifications about {topic} {switch}",
        (("Topic", topic), ("Notifications", switch), *by),
        ("Changes your own settings, nobody else's.",),
    )


def _effect(permit: Permit, situation: Situation) -> Effect:
    arguments, id_ = permit.arguments, preference_doc_id(permit.requested_by)
    stored = situation.documents.get(id_)
    topics = stored.body["topics"] if stored else {}
    was = topics.get(arguments["topic"], DEFAULT)
    now = {"enabled": arguments["enabled"], "channel": arguments["channel"] or was["channel"]}
    body = {"person": permit.requested_by, "topics": {**topics, arguments["topic"]: now}, "changed_at": situation.at}
    etag = stored.etag if stored else ""
    document = Document(situation.partition, id_, "preference", body, sort=permit.requested_by, etag=etag)
    topic, switch = arguments["topic"].replace("_", " "), "on" if now["enabled"] else "off"
    told = f"Done: notifications about {topic} are {switch}."
    return Effect(told, {"was": was, "is": now}, [document], record={"was": was, "is": now})


def _compensating(arguments: Body, result: Body) -> tuple[str, Body] | None:
    return "change_notifications", {"topic": arguments["topic"], **result["was"]}


CHANGE_NOTIFICATIONS = Action(
    name="change_notifications",
    schema_version=1,
    shape=Arguments,
    describe=_describe,
    documents=lambda action: (preference_doc_id(action["requested_by"]),),
    effect=_effect,
    compensation="Switch the topic back.",
    compensating=_compensating,
)
