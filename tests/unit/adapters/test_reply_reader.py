"""Words of `reply` are read while their JSON arrives, wherever it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.web.reply_reader import ReplyReader

TRICKY = 'He said "\\reply\\":\n\t{x}, [y] / \b\f\r \x00 é € 𝄞 😀'


def read(*pieces: str) -> str:
    reader = ReplyReader()
    said = "".join(reader.feed(piece) for piece in pieces)
    assert said == reader.text
    return said


def spelled(reply: str, **more: Any) -> list[str]:
    """The same object in the spellings a sender may choose."""
    whole = {"reply": reply, **more}
    last = {**more, "reply": reply}
    return [
        json.dumps(whole),
        json.dumps(whole, ensure_ascii=False),
        json.dumps(whole, indent=2).replace("/", "\\/"),
        json.dumps(last, separators=(",", ":")),
    ]


@pytest.mark.parametrize("text", spelled(TRICKY, other={"reply": "not this"}, rows=[{"reply": "nor this"}], n=-1.5e3))
def test_every_place_to_cut_in_two_gives_the_same_words(text: str):
    for cut in range(len(text) + 1):
        assert read(text[:cut], text[cut:]) == TRICKY
    assert read(*text) == TRICKY


@given(st.text(max_size=40), st.data())
def test_any_text_cut_anywhere_is_read_whole(reply: str, data: st.DataObject):
    text = data.draw(st.sampled_from(spelled(reply, about=reply, nested={"a": [reply]})))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    assert read(*[text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == reply


def test_words_are_given_as_soon_as_they_are_there():
    reader = ReplyReader()
    pieces = ['{"re', 'ply"', ":", ' "You', " spent\\", "u20", "ac9", " \\ud83d", "\\ude00", '"', ', "outcome": "x"}']
    assert [reader.feed(piece) for piece in pieces] == ["", "", "", "You", " spent", "", "€9", " ", "😀", "", ""]


def test_a_character_cut_in_two_by_a_sender_that_counts_in_utf_16_is_put_together():
    assert read('{"reply": "a\ud83d', '\ude00b"}') == "a😀b"
    assert read('{"reply": "a', "\ud83d", "", "\ude00", 'b"}') == "a😀b"


@pytest.mark.parametrize(
    "text",
    [
        r'{"reply": "bad \q escape"}',
        r'{"reply": "half \ud83d a pair"}',
        r'{"reply": "the other \ude00 half"}',
        r'{"reply": "\uzzzz what is this"}',
        '{"reply": "a \ud83d half"}',
        '{"reply": "a raw\nline"}',
    ],
)
def test_a_string_that_is_none_is_an_error(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  # which one does not matter: none of it is an answer
        read(text)


@pytest.mark.parametrize(
    "text", ["", "[]", '["reply", "x"]', '"reply"', "}{", '{"reply": 5, "x": "y"}', '{"reply": {"reply": "x"}}', "null"]
)
def test_where_there_is_no_reply_nothing_is_said(text: str):
    assert read(*text) == read(text) == ""
