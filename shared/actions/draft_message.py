"""draft_message: a text kept for the person to copy. Nothing in this product sends it. Own store."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.actions.action import Action, Description, Effect, Permit, Situation
from shared.contracts.shape import Shape
from shared.ports.document_store import Body, Document

MAX_TEXT = 1_000


class Arguments(Shape):
    """recipient: a name, for the person who will send it; nobody is looked up."""

    recipient: Annotated[str, Field(min_length=1, max_length=120)]
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


def draft_doc_id(action_id: str) -> str:
    """One draft per action."""
    return f"draft:{action_id}"


def _describe(arguments: Body) -> Description:
    return Description(
        f"Draft a message to {arguments['recipient']}",
        (("To", arguments["recipient"]), ("Text", arguments["text"])),
        ("Keeps the text for you to copy.", "Sends nothing."),
    )


def _effect(permit: Permit, situation: Situation) -> Effect:
    recipient, text = permit.arguments["recipient"], permit.arguments["text"]
    body = {
        "draft_id": permit.action_id,
        "recipient": recipient,
        "text": text,
        "person": permit.requested_by,
        "at": situation.at,
    }
    keys = {"subject": permit.requested_by}
    document = Document(
        situation.partition, draft_doc_id(permit.action_id), "draft", body, sort=situation.at, keys=keys
    )
    return Effect(f"Your draft to {recipient} is kept; nothing was sent.", {"characters": len(text)}, [document])


DRAFT_MESSAGE = Action(
    name="draft_message",
    schema_version=1,
    shape=Arguments,
    describe=_describe,
    effect=_effect,
    compensation="None is needed: a draft does nothing.",
)
