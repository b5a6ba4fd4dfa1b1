"""Who gets what from every endpoint of both apps, written down by hand: it is what we mean, not what the code says.

Each line of `TABLE` is one wish, the same of everybody, about what Alice has in her tenant. A status is of the answer;
with `~` it is that of the error with which a stream ends.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tests.bench import facts
from tests.functions.conftest import ALL_ROLES, dev
from tests.functions.two_tenants import HOME, program

CALLERS: dict[str, dict[str, str]] = {
    "nobody": {},
    "owner": dev("alice", HOME, "member"),
    "member": dev("mia", HOME, "member"),
    "reviewer": dev("rita", HOME, "reviewer"),
    "auditor": dev("aud", HOME, "auditor"),
    "operator": dev("olga", HOME, "operator"),
    "own+rev": dev("alice", HOME, "member,reviewer"),
    "aud+op": dev("aud", HOME, "auditor,operator"),
    "program": program(*ALL_ROLES.split(",")),
}
"""The owner has asked for everything that somebody can ask for. The program claims every role."""

TABLE = """
                                    nobody   owner    member   reviewer auditor  operator own+rev  aud+op   program
post_transactions                   401      202      202      202      403      403      202      403      202
get_ingestion                       401      200      200      200      200      200      200      200      200
list_transactions                   401      200      200      200      200      403      200      200      200
get_transaction                     401      200      200      200      200      403      200      200      200
review_transaction                  401      403      403      200      403      403      200      403      403
post_history                        401      403      403      403      403      200      403      200      403
list_runs                           401      200      200      200      200      200      200      200      200
get_run                             401      200      200      200      200      200      200      200      200
list_run_audit                      401      403      403      403      200      403      403      200      200
list_audit                          401      403      403      403      200      403      403      200      200
verify_audit                        401      403      403      403      200      403      403      200      200
export_audit                        401      403      403      403      200      403      403      200      200
list_checkpoints                    401      403      403      403      200      403      403      200      200
list_parked                         401      403      403      403      200      200      403      200      200
get_parked                          401      403      403      403      200      200      403      200      200
replay_parked                       401      403      403      403      403      200      403      200      403
discard_parked                      401      403      403      403      403      200      403      200      403
list_findings                       401      200      200      200      200      200      200      200      200
close_finding                       401      403      403      200      403      403      200      403      403
get_profile                         401      200      200      200      200      200      200      200      200
put_profile                         401      403      403      403      403      200      403      200      403
list_categories                     401      200      200      200      200      200      200      200      200
get_counters                        401      200      200      200      200      200      200      200      200
list_members                        401      403      403      403      200      200      403      200      200
put_member                          401      403      403      403      403      200      403      200      403
post_erasure                        401      403      403      403      403      200      403      200      403
get_erasure                         401      403      403      403      200      200      403      200      200

post_message                        401      202      404      404      403      403      202      403      404
post_assistant_message              401      202      404      404      403      403      202      403      404
get_conversation                    401      200      404      200      200      403      200      200      200
get_assistant_conversation          401      200      404      200      200      403      200      200      200
list_conversations                  401      200      200      200      200      403      200      200      200
list_assistant_conversations        401      200      200      200      200      403      200      200      200
put_conversation_settings           401      200      404      404      403      403      200      403      404
put_assistant_conversation_settings 401      200      404      404      403      403      200      403      404
stream_conversation                 401      200      404      200      200      403      200      200      200
stream_assistant_conversation       401      200      404      200      200      403      200      200      200

list_approvals                      401      200      200      200      200      200      200      200      200
get_approval                        401      200      404      200      200      200      200      200      200
answer_approval/yes                 401      403      403      200      403      403      403      403      403
answer_approval/no                  401      403      403      200      403      403      200      403      403
answer_conversation_approval        401      403      403      200      403      403      403      403      403
answer_assistant_approval           401      403      403      200      403      403      403      403      403

list_actions                        401      200      200      200      200      200      200      200      200
get_action                          401      200      404      200      200      200      200      200      200
get_statement                       401      200      404      200      200      403      200      200      200
list_budgets                        401      200      200      200      200      403      200      200      200
get_preferences                     401      200      200      200      403      403      200      403      200
list_drafts                         401      200      200      200      403      403      200      403      200
get_action_metrics                  401      200      200      200      200      200      200      200      200

health                              200      200      200      200      200      200      200      200      200
ready                               200      200      200      200      200      200      200      200      200
openapi                             200      200      200      200      200      200      200      200      200
openapi_v1                          200      200      200      200      200      200      200      200      200

post_chat/on                        401      200      404      404      403      403      200      403      404
post_chat/new                       401      200      200      200      403      403      200      403      200
post_agui/ask                       401      200      ~404     ~404     403      403      200      403      ~404
post_agui/answer                    401      403      403      200      403      ~403     ~403     ~403     403
post_agui/leave                     401      200      ~404     200      403      200      200      200      200
follow_conversation                 401      200      404      200      200      403      200      200      200
follow_assistant_conversation       401      200      404      200      200      403      200      200      200
"""

SAY = {"message": "help"}
YES = {"decision": "approve", "card_digest": "{card_digest}"}
NO = {"decision": "reject", "card_digest": "{card_digest}"}
NOTE = {"note": "n"}
BUSY = {"when_busy": "reject"}
REVIEW = {"action": "reclassify", "decision_version": 1, "category": "food.groceries"}
PROFILE = {"chart": [], "base_currency": "EUR", "time_zone": "UTC", "accounts": ["acc-current"]}
RUN = {"threadId": "{conversation}", "runId": "their-run", "messages": [], "state": {}}
ASKED_RUN = {**RUN, "messages": [{"id": "u-1", "role": "user", "content": "help"}]}
GIVEN = {"approved": True, "cardDigest": "{card_digest}"}
REFUSED = {"approved": False, "cardDigest": "{second_digest}"}
ANSWERED_RUN = {
    **RUN,
    "resume": [
        {"interruptId": "{approval}", "status": "resolved", "payload": GIVEN},
        {"interruptId": "{second}", "status": "resolved", "payload": REFUSED},
    ],
}
LEFT_RUN = {**RUN, "resume": [{"interruptId": one, "status": "cancelled"} for one in ("{approval}", "{second}")]}
TALK = {"id": "{conversation}"}
CARD = {"id": "{approval}"}


class Wish(NamedTuple):
    """What is sent; `{word}` in it is an id of `two_tenants`."""

    body: Any = None
    route: dict[str, str] | None = None
    headers: dict[str, str] | None = None


WISHES: dict[str, Wish] = {
    "post_transactions": Wish({"transactions": [facts("new-1")]}),
    "get_ingestion": Wish(route={"id": "{ingestion}"}),
    "get_transaction": Wish(route={"id": "{transaction}"}),
    "review_transaction": Wish(REVIEW, {"id": "{transaction}"}),
    "post_history": Wish({"rows": [{"transaction": facts("new-1"), "category": "food.groceries"}]}),
    "get_run": Wish(route={"run_id": "{run}"}),
    "list_run_audit": Wish(route={"run_id": "{run}"}),
    "verify_audit": Wish({"from": 0}),
    "get_parked": Wish(route={"id": "{parked}"}),
    "replay_parked": Wish(NOTE, {"id": "{parked}"}),
    "discard_parked": Wish(NOTE, {"id": "{parked}"}),
    "close_finding": Wish(NOTE, {"id": "{finding}"}),
    "put_profile": Wish(PROFILE, headers={"If-Match": "{etag}"}),
    "put_member": Wish({"principal": "dev:eve", "roles": ["member"]}),
    "post_erasure": Wish({"transaction_ids": ["{transaction}"], "confirm": "{tenant}"}),
    "get_erasure": Wish(route={"id": "{erasure}"}),
    "post_message": Wish(SAY, TALK),
    "post_assistant_message": Wish(SAY, TALK),
    "get_conversation": Wish(route=TALK),
    "get_assistant_conversation": Wish(route=TALK),
    "put_conversation_settings": Wish(BUSY, TALK),
    "put_assistant_conversation_settings": Wish(BUSY, TALK),
    "stream_conversation": Wish(route=TALK),
    "stream_assistant_conversation": Wish(route=TALK),
    "get_approval": Wish(route=CARD),
    "answer_approval/yes": Wish(YES, CARD),
    "answer_approval/no": Wish(NO, CARD),
    "answer_conversation_approval": Wish(YES, {**CARD, "conversation": "{conversation}"}),
    "answer_assistant_approval": Wish(YES, {**CARD, "conversation": "{conversation}"}),
    "get_action": Wish(route={"id": "{action}"}),
    "get_statement": Wish(route={"id": "{statement}"}),
    "post_chat/on": Wish({**SAY, "conversation_id": "{conversation}"}),
    "post_chat/new": Wish(SAY),
    "post_agui/ask": Wish(ASKED_RUN),
    "post_agui/answer": Wish(ANSWERED_RUN),
    "post_agui/leave": Wish(LEFT_RUN),
    "follow_conversation": Wish(route=TALK),
    "follow_assistant_conversation": Wish(route=TALK),
}


class Row(NamedTuple):
    """A line of the table with its wish. expected: by caller. name: of the function."""

    name: str
    expected: dict[str, str]
    wish: Wish

    @property
    def words(self) -> list[str]:
        """The ids that it asks about."""
        told = re.findall(r"\{(\w+)\}", repr((self.wish.body, self.wish.route)))
        return sorted({*told} - {"tenant", "card_digest", "second_digest"})


def filled(value: Any, ids: dict[str, str]) -> Any:
    """The value with each `{word}` replaced."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: ids[found.group(1)], value)
    if isinstance(value, dict):
        return {name: filled(one, ids) for name, one in value.items()}
    return [filled(one, ids) for one in value] if isinstance(value, list) else value


def _rows() -> dict[str, Row]:
    head, *lines = TABLE.strip().splitlines()
    assert head.split() == list(CALLERS)
    made = {}
    for key, *expected in (line.split() for line in lines if line):
        told = dict(zip(CALLERS, expected, strict=True))
        made[key] = Row(key.partition("/")[0], told, WISHES.get(key, Wish()))
    assert WISHES.keys() <= made.keys()
    return made


ROWS = _rows()
