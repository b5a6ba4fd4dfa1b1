"""The advisors that a conversation asks: which one takes which intent. Adding one is a module and a line.

A wish that is not here is passed on as it was said: its slots are its action's arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.specialists.advisor import Advisor
from shared.specialists.balance import Balance
from shared.specialists.budget_status import BudgetStatus
from shared.specialists.cash_pressure import CashPressure
from shared.specialists.explain_decision import ExplainDecision
from shared.specialists.find_transactions import FindTransactions
from shared.specialists.recategorise import Recategorise
from shared.specialists.set_budget import SetBudget
from shared.specialists.spending import Spending
from shared.specialists.transfer_planner import TransferPlanner

ADVISORS: Final[Mapping[str, Advisor]] = MappingProxyType(
    {
        "spending": Spending(),
        "find_transactions": FindTransactions(),
        "explain_decision": ExplainDecision(),
        "budget_status": BudgetStatus(),
        "cash_pressure": CashPressure(),
        "balance": Balance(),
        "transfer": TransferPlanner(),
        "recategorise": Recategorise(),
        "set_budget": SetBudget(),
    }
)
