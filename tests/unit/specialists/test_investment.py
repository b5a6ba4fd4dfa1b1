"""Assets are told from shops that bear their words."""

from __future__ import annotations

import pytest

from shared.specialists.investment import Investment
from tests.unit.specialists.cases import case


@pytest.mark.parametrize(
    ("descriptor", "amount_minor"),
    [
        ("VANGUARD FUND DISTRIBUTION", 7720),
        ("ETF SPARPLAN MSCI WORLD", -10_000),
        ("COINBASE", -5000),
        ("DIVIDENDE ALLIANZ SE", 4400),
        ("ROTH IRA CONTRIBUTION", -50_000),
        ("DEPOTGEBUEHR Q4", -900),
        ("COMPRA ACCIONES", -30_000),
    ],
)
def test_assets_and_what_they_cost_and_earn_are_recognised(descriptor: str, amount_minor: int) -> None:
    assert Investment().propose(case(descriptor, amount_minor)) is not None


@pytest.mark.parametrize(
    ("descriptor", "mcc"),
    [
        ("VANGUARD CLEANING", ""),
        ("GEMINI HAIR SALON", ""),
        ("BOND STREET COFFEE", ""),
        ("FIDELITY PLUMBING", ""),
        ("KRAKEN RUM BAR", ""),
        ("COINBASE COFFEE", "5814"),
        ("TRANSFER TO SAVINGS", ""),
    ],
)
def test_a_shop_that_bears_the_word_is_a_shop(descriptor: str, mcc: str) -> None:
    assert Investment().propose(case(descriptor, -2000, mcc=mcc)) is None


def test_a_brokers_code_speaks_without_words() -> None:
    assert Investment().propose(case("ZZYZX 12", -2000, mcc="6211")) is not None
