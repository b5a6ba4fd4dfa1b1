"""The advisors that a conversation asks, a line each. The first that takes an intent answers it."""

from __future__ import annotations

from shared.specialists.advisor import Advisor
from shared.specialists.explain_decision import ExplainDecision
from shared.specialists.find_transactions import FindTransactions
from shared.specialists.spending import Spending

ADVISORS: tuple[Advisor, ...] = (Spending(), FindTransactions(), ExplainDecision())
