"""Which column of a file means what: guessed from the header's words, or told with `--map`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from local.statement_values import order_of
from shared.contracts.currencies import EXPONENTS
from shared.errors import InvalidInputError

_PURPOSES: Final = ("particulars", "memo", "text", "verwendungszweck", "libelle", "concepto", "descrizione",
                    "omschrijving", "reference", "payment reference")  # fmt: skip
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    # the first name that is in the header wins, so the plainest names stand first
    "date": ("date", "transaction date", "booked on", "booked", "booking date", "posting date", "posted date",
             "posted on", "trans date", "txn date", "completed date", "value date", "started date", "buchungstag",
             "buchungsdatum", "datum", "fecha", "data", "date operation", "date de l operation", "created at",
             "timestamp"),
    "descriptor": ("descriptor", "description", "transaction description", "merchant", "merchant name", "narrative",
                   "payee", "payee name", "supplier", "supplier name", "counterparty", "counter party",
                   "counterparty name", "counter party name", "beneficiary", "auftraggeber empfaenger",
                   "auftraggeber beguenstigter", "beguenstigter", "beguenstigter zahlungspflichtiger", "empfaenger",
                   "zahlungsempfaenger", "details", "transaction details", "name", *_PURPOSES),
    "purpose": (*_PURPOSES, "details", "description"),  # of the row whose descriptor is empty
    "amount": ("amount", "transaction amount", "value", "billing amount", "net amount", "gross amount", "total",
               "amount paid", "betrag", "umsatz", "montant", "importe", "importo", "bedrag"),
    "debit": ("debit", "debit amount", "paid out", "money out", "withdrawal", "withdrawals", "soll", "debito", "out"),
    "credit": ("credit", "credit amount", "paid in", "money in", "deposit", "deposits", "haben", "credito", "in"),
    "currency": ("currency", "currency code", "ccy", "iso currency", "waehrung", "devise", "moneda", "valuta"),
    "account": ("account", "account id", "account number", "account no", "card", "card number", "card id", "iban",
                "account name", "konto", "compte", "cuenta", "conto", "product"),
    "group": ("group", "department", "directorate", "division", "team", "cost centre", "cost center", "business unit"),
    "category": ("category", "label", "category name", "spending category", "expense category", "expense type",
                 "budget category", "kategorie", "categorie", "categoria"),
    "id": ("transaction id", "id", "txn id", "trans id", "transaction number", "transactionid"),
    "mcc": ("mcc", "merchant category code", "mcc code"),
}  # fmt: skip
"""What a column may mean, and the header names by which it is recognised (lower case, words apart)."""
_PLAIN: Final = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("é"): "e", ord("è"): "e"}
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
NEEDED: Final = ("date", "descriptor", "amount")
MONEY: Final = ("amount", "debit", "credit")
SYMBOLS: Final[Mapping[str, str]] = {
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₩": "KRW",
    "₺": "TRY",
    "₪": "ILS",
    "zł": "PLN",
}
"""Signs of one currency each: "$" and "¥" are signs of several, so those are asked back."""


class Columns(NamedTuple):
    """place: role to the column's position. date_order and currency: "" unless the mapping or the header told them."""

    header: tuple[str, ...]
    place: Mapping[str, int]
    date_order: str = ""
    currency: str = ""

    def described(self) -> str:
        """ "date=Booked, amount=Value": what was understood, for the person to check."""
        return ", ".join(f"{role}={self.header[at]}" for role, at in self.place.items())

    def missing(self) -> list[str]:
        """The roles without which a file cannot be read."""
        paired = "debit" in self.place and "credit" in self.place
        return [role for role in NEEDED if role not in self.place and not (role == "amount" and paired)]


def wishes_of(told: Sequence[str]) -> dict[str, str]:
    """`--map ROLE=COLUMN` arguments as a mapping; an empty column means: there is none, do not guess."""
    wishes: dict[str, str] = {}
    for one in told:
        role, equals, column = one.partition("=")
        if not equals or role.strip() not in ROLES:
            raise InvalidInputError(f"--map {one}: write --map ROLE=COLUMN, ROLE one of {', '.join(ROLES)}")
        wishes[role.strip()] = column.strip()
    return wishes


def understood(header: Sequence[str], wishes: Mapping[str, str]) -> Columns | None:
    """The columns of `header`, or None when a column that was told is not in it."""
    names = tuple(name.strip() for name in header)
    place: dict[str, int] = {}
    date_order = ""
    for role, column in wishes.items():
        wanted, order = _told_format(column, names) if role == "date" else (column, "")
        date_order = date_order or order
        if wanted:
            at = _position(wanted, names)
            if at is None:
                return None
            place[role] = at
    words = [_words(name) for name in names]
    for role in ROLES:
        if role not in wishes:
            at = _guessed(role, words, set(place.values()))
            if at is not None:
                place[role] = at
    if "amount" in place:
        place = {role: at for role, at in place.items() if role in wishes or role not in ("debit", "credit")}
    place = {role: place[role] for role in ROLES if role in place}
    return Columns(names, place, date_order, _currency_in(names, place))


def not_found(header: Sequence[str], wishes: Mapping[str, str]) -> InvalidInputError:
    """Why `understood` gave None for the file's first line."""
    names = tuple(name.strip() for name in header)
    for role, column in wishes.items():
        wanted = _told_format(column, names)[0] if role == "date" else column
        if wanted and _position(wanted, names) is None:
            return InvalidInputError(f"--map {role}={column}: there is no column {wanted!r}; they are {_list(names)}")
    return InvalidInputError(f"no line of the file names the columns; the first line is {_list(names)}")


def lacking(columns: Columns) -> InvalidInputError:
    """Names the first column that is missing and how to tell it."""
    role = columns.missing()[0]
    return InvalidInputError(
        f"no {role} column was recognised: name it with --map {role}=COLUMN; the columns are {_list(columns.header)}"
    )


def _told_format(column: str, names: Sequence[str]) -> tuple[str, str]:
    """ "COL:dd/mm/yyyy" → ("COL", "dmy"), unless a column has that very name."""
    name, colon, date_format = column.rpartition(":")
    order = order_of(date_format) if colon else ""
    if _position(column, names) is not None or not colon:
        return column, ""
    if not order:
        raise InvalidInputError(
            f"--map date={column}: {date_format!r} is no date format; write for example dd/mm/yyyy or mm/dd/yyyy"
        )
    return name.strip(), order


def _position(wanted: str, names: Sequence[str]) -> int | None:
    if wanted in names:
        return names.index(wanted)
    folded = [name.casefold() for name in names]
    return folded.index(wanted.casefold()) if wanted.casefold() in folded else None


def _words(name: str) -> str:
    """Lower case, words apart, without what stands in brackets: "Amount (GBP)" → "amount"."""
    name = re.sub(r"\(.*?\)|\[.*?\]", " ", name)
    name = _CAMEL.sub(" ", name).casefold().translate(_PLAIN)
    return " ".join(re.findall(r"[a-z0-9]+", name))


def _guessed(role: str, words: Sequence[str], taken: set[int]) -> int | None:
    free = {name: at for at, name in reversed(list(enumerate(words))) if at not in taken}
    for alias in ROLES[role]:
        if alias in free:
            return free[alias]
    if role == "date":
        return next((at for name, at in sorted(free.items(), key=lambda item: item[1]) if "date" in name.split()), None)
    if role in MONEY:
        # "amount gbp", but neither "original amount" nor "amount foreign": those are in another money
        return min((at for name, at in free.items() if _without_code(name) in ROLES[role]), default=None)
    return None


def _without_code(name: str) -> str:
    """ "value usd" → "value"; "" when the last word is no currency's code."""
    before, _, code = name.rpartition(" ")
    return before if code.upper() in EXPONENTS else ""


def _currency_in(names: Sequence[str], place: Mapping[str, int]) -> str:
    """The currency in the amount column's own name, as in "Amount (GBP)", "amount_eur" or "Betrag (€)"."""
    for role in MONEY:
        if role in place:
            name = _CAMEL.sub(" ", names[place[role]])
            codes: set[str] = {code.upper() for code in re.findall(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])", name)}
            found = {code for code in codes if code in EXPONENTS}
            found |= {code for symbol, code in SYMBOLS.items() if symbol in name}
            if len(found) == 1:
                return found.pop()
    return ""


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    return shown + (" ..." if len(names) > 20 else "")
