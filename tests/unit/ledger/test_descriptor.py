import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.descriptor import MAX_RAW, first_words, normalised


@pytest.mark.parametrize(
    ("raw", "merchant"),
    [
        ("TESCO STORES 5504", "tesco stores"),
        ("43037000 COSTA COFFEE", "costa coffee"),
        ("PAYPAL *GARLICFARM 35314369001", "garlicfarm"),
        ("SQ *COFFEE HOUSE LONDON GB", "coffee house"),
        ("SPOTIFY P005380FF9", "spotify"),
        ("WIZZ AIR HU T9KHNZ_25HQ4", "wizz air hu"),
        ("GREGGS - S0242", "greggs"),
        ("AMZN MKTP UK*2A3BC45D1", "amzn mktp"),
        ("CARD PAYMENT TO AMAZON UK MARKETPLACE ON 12 MAR 2016", "amazon uk marketplace"),
        ("DIRECT DEBIT TO BRITISH GAS REF 88120034", "british gas"),
        ("CARD ENDING 1234 COSTA COFFEE", "costa coffee"),
        ("NETFLIX.COM AMSTERDAM", "netflix"),
        ("WWW.CHOICESTATIONERY.C", "choicestationery"),
        ("McDonald's 0417 12/03/16 18:22", "mcdonalds"),
    ],
)
def test_what_varies_between_purchases_is_removed(raw: str, merchant: str) -> None:
    assert normalised(raw) == merchant


@pytest.mark.parametrize(
    "raw", ["1st choice", "word360 language", "podium 4 sport", "bank of london", "o2", "7 eleven"]
)
def test_what_tells_two_merchants_apart_is_kept(raw: str) -> None:
    assert normalised(raw) == raw


def test_when_nothing_would_be_left_the_text_stays() -> None:
    assert (normalised("1234567"), normalised("24/7"), normalised("London")) == ("1234567", "24 7", "london")


def test_a_descriptor_without_a_word_has_no_merchant() -> None:
    assert [normalised(raw) for raw in ("", "   ", "***", "-/-")] == ["", "", "", ""]


def test_width_case_and_latin_accents_do_not_make_another_merchant() -> None:
    assert normalised("ＴＥＳＣＯ　ＳＴＯＲＥＳ") == normalised("tesco  stores")  # noqa: RUF001  that is the point
    assert normalised("CAFÉ ROUGE") == normalised("cafe rouge")


def test_marks_that_carry_vowels_and_tones_are_kept() -> None:
    assert normalised("ร้านอาหาร 5504") == "ร้านอาหาร"


@given(st.text(max_size=300))
def test_any_text_gives_single_spaced_words_and_never_an_error(raw: str) -> None:
    merchant = normalised(raw)
    assert merchant == " ".join(merchant.split())
    assert not set(merchant) & set("|/\\?#*_")


def test_only_the_start_of_an_endless_text_is_read_and_quickly() -> None:
    started = time.perf_counter()
    for at in range(50):
        normalised("x1" * 100_000 + str(at))
        normalised("a." * 100_000 + str(at))
    assert time.perf_counter() - started < 1.0
    assert len(normalised("ab " * 1_000)) <= MAX_RAW


def test_first_words_of_fewer_words_are_all_of_them() -> None:
    assert [first_words("tesco stores express", 2), first_words("tesco", 2)] == ["tesco stores", "tesco"]
