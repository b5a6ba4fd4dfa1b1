"""Terms are read as words, longest first, in any script, and never inside another word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.guard.lexicon import Lexicon, Rule, words_of


def _rule(*terms: str, kind: str = "debt", target: str = "debt.personal", bp: int = 9000, **other: object) -> Rule:
    return Rule(kind, target, bp, terms, **other)  # type: ignore[arg-type]


def test_a_term_is_read_only_as_a_whole_word() -> None:
    lexicon = Lexicon([_rule("loan")])
    assert lexicon.read("LOAN 4410").hits
    assert not lexicon.read("LOANSTAR STEAKS").hits


def test_a_short_term_inside_a_longer_one_is_not_read() -> None:
    lexicon = Lexicon([_rule("transfer", kind="transfer"), _rule("airport transfer", kind="category")])
    assert set(lexicon.read("AIRPORT TRANSFER ROMA").hits) == {"category"}
    assert set(lexicon.read("TRANSFER TO SAVINGS").hits) == {"transfer"}


def test_a_short_term_beside_the_longer_one_is_still_read() -> None:
    lexicon = Lexicon([_rule("transfer", kind="transfer"), _rule("airport transfer", kind="category")])
    assert set(lexicon.read("TRANSFER FOR AIRPORT TRANSFER").hits) == {"category", "transfer"}


def test_stems_match_the_start_or_the_end_of_one_word() -> None:
    lexicon = Lexicon([_rule("gehalts*"), _rule("*versicherung", kind="category")])
    assert "debt" in lexicon.read("GEHALTSZAHLUNG MAERZ").hits
    assert "category" in lexicon.read("Hausratversicherung").hits
    assert not lexicon.read("VERSICHERUNGEN").hits


@pytest.mark.parametrize("text", ["Crédit Immo", "CREDIT IMMO", "cre\u0301dit immo", "CREDIT-IMMO 12"])
def test_accents_case_and_punctuation_make_no_difference(text: str) -> None:
    assert Lexicon([_rule("crédit immo")]).read(text).hits


def test_a_possessive_reads_as_one_word_and_an_elision_as_two() -> None:
    assert words_of("SAINSBURY'S") == ("sainsburys",)
    assert words_of("d'épargne") == ("d", "epargne")


def test_scripts_without_spaces_are_searched_as_they_stand() -> None:
    assert Lexicon([_rule("給与")]).read("カ)サクラ給与振込").hits


def test_a_rule_needs_its_company_and_shuns_others() -> None:
    lexicon = Lexicon([_rule("cash app", needs=frozenset({"cash", "add"}), unless=frozenset({"shop"}))])
    assert not lexicon.read("CASH APP KEISHA").hits, "a term is not its own company"
    assert lexicon.read("CASH APP ADD").hits
    assert not lexicon.read("CASH APP ADD SHOP").hits


def test_direction_decides_which_hit_is_best() -> None:
    lexicon = Lexicon(
        [_rule("miete", kind="x", target="a", flow="in"), _rule("miete", kind="x", target="b", flow="out")]
    )
    incoming, outgoing = lexicon.read("MIETE").best("x", 100), lexicon.read("MIETE").best("x", -100)
    assert incoming is not None
    assert incoming.rule.target == "a"
    assert outgoing is not None
    assert outgoing.rule.target == "b"


def test_a_term_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="no word"):
        Lexicon([_rule("***")])


@given(st.text(max_size=200))
def test_any_text_can_be_read_and_always_reads_the_same(text: str) -> None:
    lexicon = Lexicon([_rule("loan", "personal loan", "gehalts*")])
    assert lexicon.read(text) == Lexicon([_rule("loan", "personal loan", "gehalts*")]).read(text)
