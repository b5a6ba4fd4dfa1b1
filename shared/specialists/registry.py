"""The specialists shipped here and whom each lane asks. Adding one is a module and a line, here and in the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shared.specialists.anomaly import Anomaly
from shared.specialists.categorization import Categorization
from shared.specialists.debt import Debt
from shared.specialists.income import Income
from shared.specialists.investment import Investment
from shared.specialists.merchant_memory import MerchantMemory
from shared.specialists.transfer import Transfer

if TYPE_CHECKING:
    from shared.guard.policy import Policy
    from shared.specialists.specialist import Specialist

_CATEGORIZATION: Final = Categorization()
_MEMORY: Final = MerchantMemory()
_ANOMALY: Final = Anomaly()

SERVES: Final[Mapping[str, tuple[Specialist, ...]]] = {
    "categorization": (_CATEGORIZATION, _MEMORY, _ANOMALY),
    "transfer": (Transfer(), _ANOMALY),
    "income": (Income(), _ANOMALY),
    "debt": (Debt(), _ANOMALY),
    "investment": (Investment(), _ANOMALY),
    "anomaly": (_ANOMALY, _CATEGORIZATION, _MEMORY),
}
MODEL_LANES: Final = frozenset({"categorization"})
"""Where models are asked too. They are wired at start-up, because they need a client."""


def specialists_for(lane: str, policy: Policy, models: Sequence[Specialist] = ()) -> tuple[Specialist, ...]:
    """Those to ask in this lane: registered, listed by the policy and switched on. An unknown lane has none."""
    asked = (*SERVES.get(lane, ()), *(models if lane in MODEL_LANES else ()))
    listed = policy.specialists
    return tuple(one for one in asked if one.name in listed and listed[one.name].enabled)
