"""A tenant's own settings over HTTP: profile, categories, counters, members; and the erasure of a person's data."""

from urllib.parse import quote, unquote

import azure.functions as func

from functions.bodies import decoded, fingerprint_of, key_of, page_in, reference_in
from functions.caller import caller_of, forget
from functions.replies import accepted, answering, json_reply
from functions.roles import WHO_MAY
from functions.time_zones import check_time_zone

blueprint = func.Blueprint()


@blueprint.route(route="v1/profile", methods=["GET"])
@answering
async def get_profile(req: func.HttpRequest) -> func.HttpResponse:
    """Chart of categories, base currency, time zone and own accounts; the `ETag` is for `If-Match`."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["get_profile"])
    body, etag = await reading.profile(bootstrap.delivery(), caller.tenant)
    return json_reply(body, headers={"ETag": _etag_of(etag)} if etag else {})


@blueprint.route(route="v1/profile", methods=["PUT"])
@answering
async def put_profile(req: func.HttpRequest) -> func.HttpResponse:
    """Replaces the profile that was read with the `ETag` in `If-Match`."""
    from shared import bootstrap
    from shared.contracts.requests import ProfileUpdate
    from shared.flows.keep_profile import keep_profile

    caller = await caller_of(req, needs=WHO_MAY["put_profile"])
    update = decoded(req, ProfileUpdate).model_dump()
    check_time_zone(update["time_zone"])
    seen = unquote(req.headers.get("If-Match", "").strip().removeprefix("W/").strip('"'))
    body, etag = await keep_profile(bootstrap.delivery(), caller.tenant, update, seen_etag=seen, by=caller.principal)
    return json_reply(body, headers={"ETag": _etag_of(etag)})


def _etag_of(stored: str) -> str:
    """The store's etag as an entity tag (RFC 9110, 8.8.3): a store's own may hold quotes, an entity tag must not."""
    return f'"{quote(stored, safe="")}"'


@blueprint.route(route="v1/categories", methods=["GET"])
@answering
async def list_categories(req: func.HttpRequest) -> func.HttpResponse:
    """The categories that a review may name: the tenant's chart, or the policy's while it has none."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["list_categories"])
    policy = bootstrap.policy()
    body, _ = await reading.profile(bootstrap.delivery(), caller.tenant)
    chart, source = body["chart"], "tenant"
    if not chart:
        chart, source = sorted(policy.categories), "policy"
    return json_reply({"items": chart, "source": source, "policy_version": policy.version})


@blueprint.route(route="v1/counters", methods=["GET"])
@answering
async def get_counters(req: func.HttpRequest) -> func.HttpResponse:
    """How many transactions are in each review state, as far as events have been delivered."""
    from shared import bootstrap
    from shared.flows.decision_changed import counts

    caller = await caller_of(req, needs=WHO_MAY["get_counters"])
    return json_reply({"by_review_state": await counts(bootstrap.delivery(), caller.tenant)})


@blueprint.route(route="v1/members", methods=["GET"])
@answering
async def list_members(req: func.HttpRequest) -> func.HttpResponse:
    """Who belongs to the tenant, for deployments whose tokens do not say it."""
    from shared import bootstrap
    from shared.flows import members

    caller = await caller_of(req, needs=WHO_MAY["list_members"])
    return json_reply(await members.list_members(bootstrap.delivery(), caller.tenant, **page_in(req)))


@blueprint.route(route="v1/members", methods=["PUT"])
@answering
async def put_member(req: func.HttpRequest) -> func.HttpResponse:
    """Gives a person exactly these roles; no roles removes the person."""
    from shared import bootstrap
    from shared.contracts.requests import MemberUpdate
    from shared.flows import members

    caller = await caller_of(req, needs=WHO_MAY["put_member"])
    wish = decoded(req, MemberUpdate)
    member = await members.set_member(
        bootstrap.delivery(), caller.tenant, wish.principal, wish.roles, by=caller.principal
    )
    forget(wish.principal)
    return json_reply(member)


@blueprint.route(route="v1/erasures", methods=["POST"])
@answering
async def post_erasure(req: func.HttpRequest) -> func.HttpResponse:
    """Erases an account's, some transactions', a person's conversations' or the tenant's data. 202: it goes on by
    itself; `Location` shows it."""
    from shared import bootstrap
    from shared.contracts.requests import ErasureRequest
    from shared.errors import InvalidInputError
    from shared.flows.erase import erase

    caller = await caller_of(req, needs=WHO_MAY["post_erasure"])
    asked = decoded(req, ErasureRequest)
    if asked.confirm != caller.tenant:
        raise InvalidInputError("confirm must be the tenant whose data is erased", code="not_confirmed")
    wish = asked.model_dump(exclude={"confirm"}, exclude_none=True)
    key = key_of(req, fingerprint_of("erasure", wish))
    done = await erase(bootstrap.delivery(), caller.tenant, wish, key=key, by=caller.principal)
    if done["state"] == "done":
        return json_reply(done)
    return accepted(done, location=f"/api/v1/erasures/{done['erasure_id']}")


@blueprint.route(route="v1/erasures/{id}", methods=["GET"])
@answering
async def get_erasure(req: func.HttpRequest) -> func.HttpResponse:
    """How far an erasure has come."""
    from shared import bootstrap
    from shared.flows.erase import erasure

    caller = await caller_of(req, needs=WHO_MAY["get_erasure"])
    return json_reply(await erasure(bootstrap.delivery(), caller.tenant, reference_in(req, "id")))
