"""The advisors that a conversation asks, a line each. Each names the intents that it takes, and no two the same one.

A wish that nobody takes is passed on as it was said: its slots are its action's arguments.
"""

from __future__ import annotations

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

ADVISORS: Final[tuple[Advisor, ...]] = (
    Spending(),
    FindTransactions(),
    ExplainDecision(),
    BudgetStatus(),
    CashPressure(),
    Balance(),
    TransferPlanner(),
    Recategorise(),
    SetBudget(),
)
