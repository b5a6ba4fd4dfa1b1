"""Spans of days in a sentence: "last month", "since March", "between 1 May and 15 May", "the last 30 days". Pure.

A span is ISO days, `until` excluded. A month or weekday without a year is the latest one that has begun, unless "next"
says otherwise. "03/04/2025" has two readings and comes with a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final, NamedTuple

from shared.conversation.patterns import in_order

MONTHS: Final = {
    name: at
    for at, names in enumerate(
        in_order(
            "january/jan february/feb march/mar april/apr may june/jun july/jul august/aug september/sept/sep "
            "october/oct november/nov december/dec"
        ),
        start=1,
    )
    for name in names.split("/")
}
WEEKDAYS: Final = {
    name: at for at, name in enumerate(in_order("monday tuesday wednesday thursday friday saturday sunday"))
}
_COUNTED: Final = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "twelve": 12}
_MONTH: Final = "|".join(sorted(MONTHS, key=len, reverse=True))
_WEEKDAY: Final = "|".join(WEEKDAYS)
_YEAR: Final = r"(?:,? (?:of )?(?:19|20|21)[0-9]{2}\b)?"
_DAY: Final = r"(?:the )?[0-9]{1,2}(?:st|nd|rd|th)?"
_OF_A_MONTH: Final = "statements?|transactions|spending|expenses|csv|pdf"
_DAY_MONTH: Final = rf"(?:{_DAY} (?:of )?(?:{_MONTH})\b{_YEAR}|(?:{_MONTH}) {_DAY}\b{_YEAR})"
_POINT: Final = (
    rf"(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|{_DAY_MONTH}|(?:{_MONTH})\b{_YEAR}|(?:{_WEEKDAY})|(?:19|20|21)[0-9]{{2}}"
    r"|today|yesterday|(?:the )?(?:start|beginning) of (?:the|this) (?:week|month|year)"
    r"|(?:last|this) (?:week|month|year))"
)
_SAID_YEAR: Final = re.compile(r"\b(?:19|20|21)[0-9]{2}\b")
_NUMBER: Final = r"[0-9]{1,3}|a|one|two|three|four|five|six|seven|twelve"


class Span(NamedTuple):
    """since and until: days, `until` excluded, None when open. problem: what must be asked back, "" for none."""

    since: date | None
    until: date | None
    problem: str = ""


class FoundSpan(NamedTuple):
    """start and end: where in the text, as of a slice."""

    start: int
    end: int
    span: Span


def spans_in(text: str, today: date) -> tuple[FoundSpan, ...]:
    """Every span, in the order written. Where two forms overlap, the first in `_FORMS` is the one meant."""
    found: list[FoundSpan] = []
    for form, reading in _FORMS:
        for hit in form.finditer(text):
            if all(hit.end() <= one.start or one.end <= hit.start() for one in found):
                found.append(FoundSpan(hit.start(), hit.end(), _span(hit, reading, today)))
    return tuple(sorted(found))


def _span(hit: re.Match[str], reading: Callable[[re.Match[str], date], Span], today: date) -> Span:
    try:
        return reading(hit, today)
    except (ValueError, OverflowError):
        return Span(None, None, "there is no such day")


def _between(hit: re.Match[str], today: date) -> Span:
    since, until = _point(hit["first"], today)[0], _point(hit["last"], today)[1]
    from_some_year, to_some_year = (_SAID_YEAR.search(hit[name]) is None for name in ("first", "last"))
    if since >= until and from_some_year and since.month > _point(hit["last"], today)[0].month:
        since = _months_on(since, -12)  # "from November to January"
    elif since >= until and to_some_year:  # "between 1 May and 15 May", said in between
        until = _months_on(until, 12)
    return Span(since, until, "" if since < until else "the span ends before it begins")


def _since(hit: re.Match[str], today: date) -> Span:
    return Span(_point(hit["point"], today)[0], today + timedelta(days=1))


def _before(hit: re.Match[str], today: date) -> Span:
    first, after = _point(hit["point"], today)
    if after <= today and _moved(after, "year", 1).year == today.year:  # "until 5 June" is this year's, also in May
        first, after = _moved(first, "year", 1), _moved(after, "year", 1)
    return Span(None, first if hit["edge"].lower() == "before" else after)


def _back(hit: re.Match[str], today: date) -> Span:
    return Span(_moved(today, hit["unit"], -_count(hit["count"])), today + timedelta(days=1))


def _ahead(hit: re.Match[str], today: date) -> Span:
    return Span(today, _moved(today, hit["unit"], _count(hit["count"])))


def _ago(hit: re.Match[str], today: date) -> Span:
    then = _moved(today, hit["unit"], -_count(hit["count"]))
    return Span(then, then + timedelta(days=1)) if hit["unit"].lower() == "day" else _unit(then, hit["unit"])


def _which(hit: re.Match[str], today: date) -> Span:
    unit = hit["unit"].lower()
    steps = {"this": 0, "current": 0, "next": 1, "coming": 1}.get(hit["which"].lower(), -1)
    if unit == "weekend":
        monday = today - timedelta(days=today.weekday()) + timedelta(days=7 * steps)
        return Span(monday + timedelta(days=5), monday + timedelta(days=7))
    if hit["which"].lower() == "past":
        return Span(_moved(today, unit, -1), today + timedelta(days=1))
    return _unit(_moved(_unit_start(today, unit), unit, steps), unit)


def _end(hit: re.Match[str], today: date) -> Span:
    return Span(today, _unit(today, hit["unit"]).until)


def _weekday(hit: re.Match[str], today: date) -> Span:
    day = _weekday_before(hit["day"], today)
    if hit["which"].lower() in {"next", "this"} and day < today:
        day += timedelta(days=7)
    return Span(day, day + timedelta(days=1))


def _named(hit: re.Match[str], today: date) -> Span:
    first, after = _point(hit["point"], today)
    if hit["which"].lower() == "next" and first <= today:
        first, after = _months_on(first, 12), _months_on(after, 12)
    return Span(first, after)


def _one_day(hit: re.Match[str], today: date) -> Span:
    word = hit["day"].lower()
    if word.startswith("year"):
        return Span(date(today.year, 1, 1), today + timedelta(days=1))
    day = today + timedelta(days={"yesterday": -1, "tomorrow": 1}.get(word, 0))
    return Span(day, day + timedelta(days=1))


def _quarter(hit: re.Match[str], today: date) -> Span:
    first = date(int(hit["year"] or today.year), 3 * int(hit["quarter"]) - 2, 1)
    first = _months_on(first, -12) if first > today and not hit["year"] else first
    return Span(first, _months_on(first, 3))


def _slashed(hit: re.Match[str], _today: date) -> Span:
    one, two, year = (int(part) for part in hit["day"].split("/"))
    if one <= 12 and two <= 12 and one != two:
        return Span(None, None, "the day can be read in two ways")
    day, month = (one, two) if one > 12 else (two, one)
    first = date(year + 2000 if year < 100 else year, month, day)
    return Span(first, first + timedelta(days=1))


def _bare(hit: re.Match[str], today: date) -> Span:
    return Span(*_point(hit["point"], today))


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


_FORMS: Final = (
    (_form(rf"(?:between|from) (?P<first>{_POINT}) (?:and|to|until|till|through) (?P<last>{_POINT})"), _between),
    (_form(rf"since (?P<point>{_POINT})"), _since),
    (_form(rf"(?P<edge>until|till|before|by) (?P<point>{_POINT})"), _before),
    (_form(rf"(?:the )?(?:last|past|previous) (?P<count>{_NUMBER}) (?P<unit>day|week|month|year)s?"), _back),
    (_form(rf"(?:the )?(?:next|coming) (?P<count>{_NUMBER}) (?P<unit>day|week|month)s?"), _ahead),
    (_form(rf"(?P<count>{_NUMBER}) (?P<unit>day|week|month)s? ago"), _ago),
    (_form(
        r"(?:so far )?(?:the )?(?P<which>this|last|past|previous|next|coming|current) "
        r"(?P<unit>week|weekend|month|quarter|year)(?: so far)?"
    ), _which),
    (_form(r"(?:end|rest|remainder) of (?:the|this) (?P<unit>week|month|year)"), _end),
    (_form(rf"(?P<which>last|next|this) (?P<day>{_WEEKDAY})"), _weekday),
    (_form(rf"(?P<which>in|during|for|of|on|from|last|this|next) (?P<point>{_POINT})"), _named),
    (_form(rf"(?P<point>(?:{_MONTH})\b{_YEAR})(?= (?:as|{_OF_A_MONTH})\b)"), _bare),
    (_form(r"(?P<day>today|yesterday|tomorrow|tonight|year to date)"), _one_day),
    (_form(r"(?:in )?q(?P<quarter>[1-4])(?: (?P<year>20[0-9]{2}))?"), _quarter),
    (_form(r"(?P<day>[0-9]{1,2}/[0-9]{1,2}/(?:[0-9]{4}|[0-9]{2}))"), _slashed),
    (_form(rf"(?P<point>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|{_DAY_MONTH}|(?:{_MONTH}),? (?:19|20|21)[0-9]{{2}})"), _bare),
)  # fmt: skip


def _point(said: str, today: date) -> tuple[date, date]:
    """The first day that these words name and the first day after them. Raises ValueError for no such day."""
    words = said.lower().replace(",", " ").split()
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", words[0]):
        day = date.fromisoformat(words[0])
        return day, day + timedelta(days=1)
    if words[-1] in {"week", "month", "year"}:
        start = _unit_start(today, words[-1])
        start = _moved(start, words[-1], -1) if words[0] == "last" else start
        return start, _moved(start, words[-1], 1)
    if words[0] in {"today", "yesterday"} or words[0] in WEEKDAYS:
        day = today - timedelta(days=words[0] == "yesterday")
        day = _weekday_before(words[0], today) if words[0] in WEEKDAYS else day
        return day, day + timedelta(days=1)
    return _calendar(words, today)


def _calendar(words: list[str], today: date) -> tuple[date, date]:
    """A year, a month or a day of a month, with or without its year."""
    numbers = [int(re.sub(r"[^0-9]", "", word)) for word in words if word[0].isdigit()]
    year = next((number for number in numbers if number > 31), None)
    day = next((number for number in numbers if number <= 31), None)
    month = next((MONTHS[word] for word in words if word in MONTHS), None)
    if month is None:
        first = date(year or today.year, 1, 1)
        return first, date(first.year + 1, 1, 1)
    first = date(year or today.year, month, day or 1)
    if year is None and first > today:
        first = date(today.year - 1, month, day or 1)
    return first, first + timedelta(days=1) if day else _months_on(first, 1)


def _weekday_before(name: str, today: date) -> date:
    """The latest such weekday before today; today is never meant by its own name."""
    back = (today.weekday() - WEEKDAYS[name.lower()]) % 7 or 7
    return today - timedelta(days=back)


def _count(said: str) -> int:
    return int(said) if said.isdigit() else _COUNTED[said.lower()]


def _unit(day: date, unit: str) -> Span:
    first = _unit_start(day, unit)
    return Span(first, _moved(first, unit, 1))


def _unit_start(day: date, unit: str) -> date:
    unit = unit.lower()
    if unit == "week":
        return day - timedelta(days=day.weekday())
    month = {"month": day.month, "quarter": 3 * ((day.month - 1) // 3) + 1}.get(unit, 1)
    return day.replace(month=month, day=1)


def _moved(day: date, unit: str, steps: int) -> date:
    unit = unit.lower()
    if unit in {"day", "week"}:
        return day + timedelta(days=steps * (7 if unit == "week" else 1))
    return _months_on(day, steps * {"quarter": 3, "year": 12}.get(unit, 1))


def _months_on(day: date, months: int) -> date:
    """The same day so many months on; the month's last day when it has no such day."""
    at = day.year * 12 + day.month - 1 + months
    first = date(at // 12, at % 12 + 1, 1)
    following = date((at + 1) // 12, (at + 1) % 12 + 1, 1)
    return min(first.replace(day=1) + timedelta(days=day.day - 1), following - timedelta(days=1))
