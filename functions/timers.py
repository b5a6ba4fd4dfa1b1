"""Timer triggers, in UTC: `{second} {minute} {hour} {day} {month} {day-of-week}`."""

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.timer_trigger(arg_name="timer", schedule="0 0 2 * * *")
async def start_nightly_sweep(timer: func.TimerRequest) -> None:
    """One `SweepTenant` per tenant; firing twice on one day changes nothing."""
    from shared import bootstrap
    from shared.flows.sweep_tenant import start_sweeps

    delivery = bootstrap.delivery()
    await start_sweeps(delivery, day=str(delivery.now().date()))


@blueprint.timer_trigger(arg_name="timer", schedule="*/15 * * * * *")
async def relay_outbox(timer: func.TimerRequest) -> None:
    """Sends what an invocation committed but could not send itself."""
    from shared import bootstrap
    from shared.delivery.outbox import relay_stragglers

    await relay_stragglers(bootstrap.delivery())


@blueprint.timer_trigger(arg_name="timer", schedule="5,35 * * * * *")
async def age_approvals(timer: func.TimerRequest) -> None:
    """Warns of cards that wait for people, escalates and in the end expires them."""
    from shared import bootstrap
    from shared.flows import age_approval

    await age_approval.age_approvals(bootstrap.delivery())


@blueprint.timer_trigger(arg_name="timer", schedule="10,40 * * * * *")
async def probe_breakers(timer: func.TimerRequest) -> None:
    """Tries each backend whose open breaker is due, so that no waiting action has to be the one that tries."""
    from shared import bootstrap
    from shared.actions import breaker_store
    from shared.actions.breaker import BreakerRule

    backends = bootstrap.backends()
    if not backends:
        return
    policy = bootstrap.action_policy()
    rules = dict.fromkeys(backends, BreakerRule(*policy.breaker) if policy else BreakerRule())
    delivery = bootstrap.delivery()
    await breaker_store.probe_breakers(store=delivery.store, backends=backends, rules=rules, now=delivery.now)


@blueprint.timer_trigger(arg_name="timer", schedule="30 * * * * *")
async def continue_erasures(timer: func.TimerRequest) -> None:
    """Goes on with erasures that were interrupted, or that one call could not finish."""
    from shared import bootstrap
    from shared.flows import erase

    await erase.continue_erasures(bootstrap.delivery())


@blueprint.timer_trigger(arg_name="timer", schedule="15 */10 * * * *")
async def purge_expired(timer: func.TimerRequest) -> None:
    """Frees the space of receipts, sent outbox documents and the like, where the store does not do so itself."""
    from shared import bootstrap

    store = bootstrap.delivery().store
    for _ in range(100):
        if await store.purge() == 0:
            break


@blueprint.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def checkpoint_audit_heads(timer: func.TimerRequest) -> None:
    """Writes the heads of audit chains outside the store."""
    from shared import bootstrap
    from shared.delivery.checkpoints import checkpoint_all

    await checkpoint_all(bootstrap.delivery())
