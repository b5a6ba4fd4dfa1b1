"""Anybody's CSV: what is understood, what is asked back, and what becomes of lines that are no transactions."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from local.statement import Statement, read_statement
from local.statement_columns import wishes_of
from local.statement_rows import Wishes
from local.statement_values import order_of, read_amount, read_date, safe_id
from shared.errors import InvalidInputError

HEADER = "Date,Description,Amount\n"


def read(folder: Path, text: str, wishes: Wishes | None = None, *, encoding: str = "utf-8") -> Statement:
    path = folder / "file.csv"
    path.write_bytes(text.encode(encoding))
    return read_statement(path, wishes or Wishes(currency="EUR"))


def asked_back(folder: Path, text: str, wishes: Wishes | None = None) -> str:
    with pytest.raises(InvalidInputError) as refused:
        read(folder, text, wishes)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_sample_statements_are_read_whole():
    for name, rows in (("statement.csv", 120), ("statement_next.csv", 6)):
        statement = read_statement(Path(__file__).parents[3] / "samples" / name)
        assert (len(statement.rows), statement.bad) == (rows, [])
        assert statement.rows[0].transaction_id.startswith("s-")


def test_a_bank_export_with_preamble_semicolons_and_decimal_commas(tmp_path: Path):
    text = (
        "Konto;DE02 1203 0000\n\n"
        "Buchungstag;Empfänger;Verwendungszweck;Betrag (EUR);Kategorie\n"
        "31.01.2026;Bäckerei;Brötchen;-1.234,50;food\n"
        "01.02.2026;Arbeit;Lohn;2.000,00;income\n"
        "02.02.2026;Laden;Brot;-3,20;\n"
        "03.02.2026;Laden;Brot;-3,20;food\n"
    )
    statement = read(tmp_path, text, Wishes(), encoding="cp1252")
    assert [row.amount_minor for row in statement.rows] == [-123_450, 200_000, -320, -320]
    first = statement.rows[0]
    assert (first.booked_on, first.currency, first.category, first.account) == ("2026-01-31", "EUR", "food", "main")
    assert first.descriptor == "Bäckerei"
    assert "Windows-1252" in " ".join(statement.notes)


@pytest.mark.parametrize(
    ("header", "currency"),
    [
        ("Betrag (€)", "EUR"),
        ("Amount £", "GBP"),
        ("Amount (GBP)", "GBP"),
        ("Value USD", "USD"),
        ("amount_gbp", "GBP"),
        ("AmountCHF", "CHF"),
    ],
)
def test_a_currency_in_the_amounts_header_is_read_and_told(tmp_path: Path, header: str, currency: str):
    statement = read(tmp_path, f"Date,Description,{header}\n2026-01-01,a,-1.50\n", Wishes())
    assert (statement.rows[0].currency, statement.rows[0].amount_minor) == (currency, -150)
    assert f"amounts are in {currency}" in " ".join(statement.notes)


@pytest.mark.parametrize("header", ["Amount", "Amount ($)", "Amount ¥", "Amount (EUR/GBP)"])
def test_a_header_that_leaves_the_currency_open_is_asked_back_with_the_command(tmp_path: Path, header: str):
    told = asked_back(tmp_path, f"Date,Description,{header}\n2026-01-01,a,-1.50\n", Wishes())
    assert f'make run DATA={tmp_path / "file.csv"} ARGS="--currency GBP"' in told


@pytest.mark.parametrize("purpose", ["Verwendungszweck", "Memo", "Reference"])
@pytest.mark.parametrize(
    "party",
    [
        "Counter Party",
        "Counterparty",
        "Auftraggeber/Empfänger",
        "Empfänger",
        "Begünstigter",
        "Payee",
        "Merchant",
        "Name",
    ],
)
def test_who_is_paid_comes_before_what_for_and_the_purpose_fills_a_gap(tmp_path: Path, party: str, purpose: str):
    text = f"Date,{purpose},{party},Amount,Spending Category\n2026-01-01,why,shop,-1,food\n2026-01-02,why,,-1,fun\n"
    statement = read(tmp_path, text)
    assert [(row.descriptor, row.category) for row in statement.rows] == [("shop", "food"), ("why", "fun")]
    assert not statement.bad


def test_a_purpose_alone_is_the_descriptor_and_a_fallback_can_be_told(tmp_path: Path):
    assert read(tmp_path, "Date,Memo,Amount\n2026-01-01,why,-1\n").rows[0].descriptor == "why"
    told = Wishes(wishes_of(["purpose=Note"]), "EUR")
    assert read(tmp_path, "Date,Payee,Note,Amount\n2026-01-01,,why,-1\n", told).rows[0].descriptor == "why"


def test_debit_and_credit_columns_become_one_signed_amount(tmp_path: Path):
    text = "Posting Date\tNarrative\tPaid out\tPaid in\n2026-01-02\tshop\t12.00\t\n2026-01-03\temployer\t\t900.10\n"
    assert [row.amount_minor for row in read(tmp_path, text).rows] == [-1200, 90_010]


def test_a_file_of_positive_amounts_is_spending_and_says_so(tmp_path: Path):
    text = HEADER + "".join(f"2026-01-{day:02},shop {day},{day}.00\n" for day in range(1, 10))
    statement = read(tmp_path, text + "2026-01-10,refund,-5.00\n")
    assert [row.amount_minor for row in statement.rows][:2] == [-100, -200]
    assert statement.rows[-1].amount_minor == 500
    assert "--spending-negative" in " ".join(statement.notes)
    told = read(tmp_path, text, Wishes(currency="EUR", spending="negative"))
    assert told.rows[0].amount_minor == 100


def test_one_day_above_twelve_settles_the_order_of_the_whole_column(tmp_path: Path):
    assert read(tmp_path, HEADER + "03/04/2026,a,-1\n13/04/2026,b,-1\n").rows[0].booked_on == "2026-04-03"
    assert read(tmp_path, HEADER + "03/04/2026,a,-1\n04/13/2026,b,-1\n").rows[0].booked_on == "2026-03-04"


def test_dates_that_could_be_either_are_asked_back_and_can_be_told(tmp_path: Path):
    text = HEADER + "03/04/2026,a,-1\n05/06/2026,b,-1\n"
    assert '--map "date=Date:dd/mm/yyyy"' in asked_back(tmp_path, text)
    told = Wishes(wishes_of(["date=Date:mm/dd/yyyy"]), "EUR")
    assert read(tmp_path, text, told).rows[0].booked_on == "2026-03-04"


def test_a_thousand_or_one_and_a_bit_is_asked_back(tmp_path: Path):
    text = 'Date,Description,Amount\n2026-01-01,a,"-1,234"\n'
    assert "--decimal" in asked_back(tmp_path, text)
    assert read(tmp_path, text, Wishes(currency="EUR", decimal=".")).rows[0].amount_minor == -123_400


def test_what_is_missing_is_named_with_the_option_that_helps(tmp_path: Path):
    assert "--map date=COLUMN" in asked_back(tmp_path, "a,b,c\n1,2,3\n")
    assert "--currency" in asked_back(tmp_path, HEADER + "2026-01-01,a,-1\n", Wishes())
    assert "no such currency" in asked_back(tmp_path, HEADER, Wishes(currency="EURO"))
    assert "no column 'Nope'" in asked_back(tmp_path, HEADER + "2026-01-01,a,-1\n", Wishes({"date": "Nope"}, "EUR"))
    assert "is empty" in asked_back(tmp_path, "")
    assert "no date was recognised" in asked_back(tmp_path, HEADER + "soon,a,-1\n")
    assert "no row" in asked_back(tmp_path, HEADER + "2026-01-01,a,much\n")
    with pytest.raises(InvalidInputError, match="there is no file"):
        read_statement(tmp_path / "none.csv")
    with pytest.raises(InvalidInputError, match="ROLE=COLUMN"):
        wishes_of(["colour=red"])


def test_bytes_that_are_no_text_are_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file.csv").write_bytes(b"\x00\x01\x02PNG\x00" * 50)
    with pytest.raises(InvalidInputError):
        read_statement(tmp_path / "file.csv")


def test_columns_can_be_told_and_a_guess_switched_off(tmp_path: Path):
    text = "When,Date,What,Name,Amount,Category\n2026-01-05,2025-01-01,shop,me,-1.00,x\n"
    told = wishes_of(["date=When", "descriptor=what", "category="])
    row = read(tmp_path, text, Wishes(told, "EUR")).rows[0]
    assert (row.booked_on, row.descriptor, row.category) == ("2026-01-05", "shop", "")


def test_bad_lines_are_kept_with_their_number_and_reason(tmp_path: Path):
    text = (
        HEADER
        + '2026-01-01,"two\nlines",-1.00\nyesterday,b,-1.00\n2026-01-02,c,lots\n\n'
        + "2026-01-03,,-1\n2026-01-04,d,-1.005\nx\n"
    )
    statement = read(tmp_path, text)
    assert [row.descriptor for row in statement.rows] == ["two lines"]
    assert [bad.line for bad in statement.bad] == [4, 5, 7, 8, 9]
    reasons = " | ".join(bad.why for bad in statement.bad)
    for why in ("'yesterday' is no date", "'lots' is no amount", "descriptor", "more decimals", "1 cells"):
        assert why in reasons


def test_ids_come_from_the_content_and_count_equal_rows(tmp_path: Path):
    text = HEADER + "2026-01-01,coffee,-3.00\n2026-01-01,coffee,-3.00\n2026-01-02,tea,-3.00\n"
    ids = [row.transaction_id for row in read(tmp_path, text).rows]
    assert len(set(ids)) == 3
    turned = HEADER + "2026-01-02,tea,-3.00\n2026-01-01,coffee,-3.00\n2026-01-01,coffee,-3.00\n"
    assert sorted(row.transaction_id for row in read(tmp_path, turned).rows) == sorted(ids)


def test_an_id_column_is_believed_only_when_it_names_each_row_once(tmp_path: Path):
    header = "Id,Date,Description,Amount\n"
    own = read(tmp_path, header + "a 1,2026-01-01,x,-1\na 2,2026-01-01,x,-1\n")
    assert own.rows[0].transaction_id == safe_id("a 1")
    assert own.rows[0].transaction_id != own.rows[1].transaction_id
    repeated = read(tmp_path, header + "7,2026-01-01,x,-1\n7,2026-01-02,y,-1\n")
    assert all(row.transaction_id.startswith("row-") for row in repeated.rows)


def test_rows_come_in_date_order_and_keep_the_files_order_within_a_day(tmp_path: Path):
    text = HEADER + "2026-01-02,late,-1\n2026-01-01,first,-1\n2026-01-01,second,-1\n"
    assert [row.descriptor for row in read(tmp_path, text).rows] == ["first", "second", "late"]


@pytest.mark.parametrize(
    ("cell", "order", "day"),
    [
        ("2026-01-31", "mdy", "2026-01-31"),
        ("2026-01-31T23:59:59Z", "mdy", "2026-01-31"),
        ("2026-01-31 09:00", "dmy", "2026-01-31"),
        ("20260131", "dmy", "2026-01-31"),
        ("31/01/26", "dmy", "2026-01-31"),
        ("01/02/2026", "mdy", "2026-01-02"),
        ("01.02.2026", "mdy", "2026-02-01"),
        ("31 Jan 2026", "mdy", "2026-01-31"),
        ("Jan 31, 2026", "dmy", "2026-01-31"),
        ("31-January-2026", "dmy", "2026-01-31"),
        ("26-01-31", "ymd", "2026-01-31"),
        ("31/02/2026", "dmy", None),
        ("2026", "dmy", None),
        ("\u0661/\u0662/\u0662\u0660\u0662\u0666", "dmy", None),
        ("", "dmy", None),
    ],
)
def test_dates(cell: str, order: str, day: str | None):
    found = read_date(cell, order)
    assert (found.isoformat() if found else None) == day


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("12.50", ".", "12.50"),
        ("-1,234.50", ".", "-1234.50"),
        ("1.234,50-", ",", "-1234.50"),
        ("(12.50)", ".", "-12.50"),
        ("£12.50", ".", "12.50"),
        ("12.50 DR", ".", "-12.50"),
        ("1\u00a0234,5", ",", "1234.5"),
        ("\u221212.50", ".", "-12.50"),
        ("1'234.50", ".", "1234.50"),
        (".5", ".", "0.5"),
        ("12,50", ".", None),  # a comma that groups two digits is no comma of thousands
        ("1.2.3", ".", None),
        ("1e5", ".", None),
        ("NaN", ".", None),
        ("", ".", None),
    ],
)
def test_amounts(cell: str, decimal: str, value: str | None):
    assert read_amount(cell, decimal) == (None if value is None else Decimal(value))


def test_date_formats_are_told_by_their_letters():
    assert [order_of(told) for told in ("dd/mm/yyyy", "M/D/YY", "yyyy-mm-dd", "foo", "dd/yyyy")] == [
        "dmy",
        "mdy",
        "ymd",
        "",
        "",
    ]
