"""How actions speak to people: amounts as they are written, in plain text. Pure."""

from __future__ import annotations

from shared.contracts.currencies import EXPONENTS


def money_text(amount_minor: int, currency: str) -> str:
    """123450, "EUR" -> "1,234.50 EUR". No float is involved."""
    digits = EXPONENTS.get(currency, 2)
    sign = "-" if amount_minor < 0 else ""
    whole, fraction = divmod(abs(amount_minor), 10**digits)
    decimals = f".{fraction:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{decimals} {currency}"


def count_text(number: int, one: str, many: str) -> str:
    """1, "transaction", "transactions" -> "1 transaction"."""
    return f"{number} {one if number == 1 else many}"
