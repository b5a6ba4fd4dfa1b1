"""Two tenants with everything that a tenant can have, made by the real functions and flows; of the same people, so that
nothing but the tenant keeps what they have in one from what they have in the other."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from functions import caller
from shared import bootstrap
from shared.contracts.instants import text
from shared.delivery.inbox import handle_once
from shared.delivery.parking import Incoming, park_command
from shared.delivery.retry import Park
from shared.ports.document_store import Document
from tests.bench import facts
from tests.functions.conftest import App, dev

HOME, DESK = "home", "desk"
THEIR_WORD = "zebra"
"""A word in everything that people have written in `DESK`, and in nothing of `HOME`."""
SAID = "umbrella"
"""A word that Alice has said in `HOME`, to nobody but the assistant."""
BANK = {"BANK_URL": "http://127.0.0.1:9", "BANK_TOKEN": "token", "BANK_ACCOUNTS": "home=giro,desk=giro"}
"""Nobody listens there, and nothing here asks it."""
EASYAUTH = {
    "AUTH_MODE": "easyauth", "WEBSITE_AUTH_ENABLED": "True", "TENANT_CLAIM": "tenants", "ROLES_CLAIM": "roles",
}  # fmt: skip
Ids = dict[str, str]


def program(*roles: str, tenant: str = HOME) -> dict[str, str]:
    """What Easy Auth says of a client that signed in as itself, with all these roles."""
    claims = [("idtyp", "app"), ("azp", "robot"), ("oid", "robot"), ("sub", "robot"), ("tenants", tenant)]
    told = [{"typ": kind, "val": value} for kind, value in [*claims, *(("roles", role) for role in roles)]]
    header = json.dumps({"auth_typ": "aad", "claims": told}).encode()
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(header).decode()}


class Stored(NamedTuple):
    """A document as it lies in the file."""

    etag: int
    kind: str
    body: bytes


class World:
    """The two tenants in a folder of this test; `ids[tenant]` names what there is."""

    def __init__(self, folder: Path, ids: dict[str, Ids], template: Path) -> None:
        self.folder, self.ids, self._template = folder, ids, template
        self._made: dict[str, Stored] = {}

    async def begin_again(self) -> None:
        """Everything as it was made."""
        if self._made and self.stored(HOME) == self._made:
            return
        await bootstrap.shutdown()
        caller.forget()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._template, self.folder)
        self._made = self.stored(HOME)

    def stored(self, tenant: str) -> dict[str, Stored]:
        """All of its documents, by id."""
        with closing(sqlite3.connect(f"file:{self.folder / 'store.db'}?mode=ro", uri=True)) as reader:
            rows = reader.execute("select id, etag, kind, body from documents where partition = ?", (tenant,))
            return {id_: Stored(etag, kind, bytes(body)) for id_, etag, kind, body in rows.fetchall()}


async def made_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Ids]:
    """The ids of what was made; the folder is closed."""
    with monkeypatch.context() as here:
        here.setenv("COUNTERSIGN_DATA", str(folder))
        app = App()
        ids = {tenant: await _tenant(app, tenant) for tenant in (HOME, DESK)}
        await bootstrap.shutdown()
        caller.forget()
    return ids


async def _tenant(app: App, tenant: str) -> Ids:
    word = THEIR_WORD if tenant == DESK else "ladder"
    alice, olga = dev("alice", tenant, "member"), dev("olga", tenant, "operator")
    ids: Ids = {"tenant": tenant, "word": word, "transaction": f"{tenant}-t-1", "conversation": f"{tenant}-talk"}
    rows = [facts(f"{tenant}-t-1", descriptor=f"QQ {word}", mcc=""), facts(f"{tenant}-t-2", account=f"{word}-2")]
    upload = await app.call("post_transactions", {"transactions": rows}, as_=alice)
    ids["ingestion"] = upload.body["ingestion_id"]
    await app.call("put_member", {"principal": f"dev:{word}", "roles": ["member"]}, as_=olga)
    await worked()
    for said in (
        f"draft a message to Anna saying {SAID if tenant == HOME else word}", "set a budget of 400 EUR for groceries",
        "export all transactions", f"transfer 40 EUR to {word.title()} Ltd", f"transfer 50 EUR to {word.title()} Ltd",
    ):  # fmt: skip
        posted = await app.call("post_message", {"message": said}, as_=alice, id=ids["conversation"])
        assert posted.status == 202, posted
        await worked()
    await _read_back(app, ids, alice)
    await _by_hand(tenant, word, ids)
    gone = {"transaction_ids": [f"{tenant}-t-2"], "confirm": tenant}
    ids["erasure"] = (await app.call("post_erasure", gone, as_=olga)).body["erasure_id"]
    return ids


async def _read_back(app: App, ids: Ids, alice: dict[str, str]) -> None:
    cards = (await app.call("list_approvals", as_=alice)).body["items"]
    ids["approval"], ids["card_digest"] = cards[0]["approval_id"], cards[0]["card_digest"]
    ids["second"], ids["second_digest"] = cards[1]["approval_id"], cards[1]["card_digest"]
    actions = {one["action"]: one for one in (await app.call("list_actions", as_=alice)).body["items"]}
    assert actions["export_statement"]["state"] == "done", actions
    ids["action"] = actions["transfer_funds"]["action_id"]
    ids["statement"] = actions["export_statement"]["action_id"]
    ids["run"] = actions["transfer_funds"]["run_id"]
    ids["etag"] = (await app.call("get_profile", as_=alice)).headers["etag"]


async def _by_hand(tenant: str, word: str, ids: Ids) -> None:
    """What no person's call makes: a parked command and a finding."""
    from shared.contracts.commands import envelope, parse_envelope

    delivery, ids["parked"], ids["finding"] = bootstrap.delivery(), f"{tenant}-parked", f"{tenant}-finding"
    command = envelope(
        "ClassifyTransaction", {"transaction": facts(f"{tenant}-t-7", descriptor=word)}, command_id=ids["parked"],
        tenant=tenant, source="test", issued_at=delivery.now(),
    )  # fmt: skip
    body = json.dumps(command).encode()
    incoming = Incoming("runtime-ingestion-completed", body, f"{tenant}-m-7")
    await park_command(delivery, incoming, parse_envelope(body), Park("broken", "it broke"))
    at = text(delivery.now())
    told = {"kind": "outlier_amount", "subject": ids["transaction"], "severity": "Warning", "summary": word,
            "state": "open", "raised_at": at, "run_id": ids["run"]}  # fmt: skip
    keys = {"state": "open", "subject": ids["transaction"]}
    finding = Document(tenant, f"finding:{ids['finding']}", "finding", told, sort=at, keys=keys)
    await delivery.store.commit(tenant, [finding])


async def worked() -> None:
    """Everything that is on the lanes, and what that sends, as the lanes' functions would."""
    lanes, seen = bootstrap.lanes(), 0
    while True:
        with closing(lanes.reader()) as reader:
            sql = "select sequence, queue, body, message_id, session_id from message where sequence > ? limit 1"
            row = reader.execute(sql, (seen,)).fetchone()
        if row is None:
            break
        seen, lane, body, message_id, session_id = row
        assert await handle_once(bootstrap.delivery(), Incoming(lane, body, message_id, 1, session_id)) != "parked"
    await lanes.submit(lambda connection: connection.execute("delete from message"))
