"""The dead-letter lanes: what the platform gave up on is parked as soon as recording works again."""

from __future__ import annotations

from hashlib import sha256

from shared.contracts.commands import OURSELVES
from shared.contracts.instants import after
from shared.delivery.handling import Delivery
from shared.delivery.inbox import check_authority, command_in, is_done, read_for
from shared.delivery.parking import Incoming, park_command, park_unreadable
from shared.delivery.retry import OUTAGE_DELAY_SECONDS, Park
from shared.errors import RetryableError, TerminalError
from shared.ports.command_bus import OutgoingMessage


async def park_dead_letter(delivery: Delivery, incoming: Incoming, *, reason: str) -> None:
    """Park the message; while that is impossible, send it back to its lane for later, so that nothing spins here."""
    why = Park("dead_lettered", f"the platform gave up: {reason}")
    try:
        command = command_in(incoming.body)
        documents = await read_for(delivery, command)
        fingerprint = await check_authority(delivery, command, documents, incoming.body)
        if is_done(command, documents, fingerprint):
            return
        await park_command(delivery, incoming, command, why)
    except TerminalError as failed:
        # malformed, nobody's, or an id used for something else: nothing in the tenant may be touched for it
        await park_unreadable(delivery, incoming, Park(failed.code, f"{why.detail}; {failed}"))
    except RetryableError:
        later = after(delivery.now(), seconds=OUTAGE_DELAY_SECONDS * (1 + delivery.jitter()))
        tail = sha256(f"{incoming.message_id}|{later}".encode()).hexdigest()
        copy = OutgoingMessage(
            incoming.lane, incoming.body, tail, session_id=incoming.session_id or OURSELVES, scheduled_at=later
        )
        await delivery.bus.send([copy])
