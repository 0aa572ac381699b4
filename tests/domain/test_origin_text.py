"""What servers say in header fields is read without an error, whatever it is."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glare.domain.origins import origin_text

SECOND = 1_000_000
LATIN = st.text(st.characters(max_codepoint=0xFF), max_size=200)
DATE_LIKE = st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,12} [A-Z][a-z]{2} -?[0-9]{1,25} [0-9:]{1,20} [+A-Z-][0-9A-Z]{0,20}")
RANGE_LIKE = st.from_regex(r"bytes [0-9*]{1,30}-?[0-9]{0,30}/[0-9*]{1,30}")
ANY = st.none() | LATIN | DATE_LIKE | RANGE_LIKE | st.text(max_size=100)
OVERFLOWS = (
    "Mon, 01 Jan 99999999999 00:00:00 GMT",
    "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT",
    "9" * 5000,
    "\xb2\xb3",
    '"\xe9"',
    "",
)


@given(ANY, st.integers(0, 2**62))
@example(OVERFLOWS[0], 0)
@example(OVERFLOWS[1], 0)
@example(OVERFLOWS[2], 0)
@example(OVERFLOWS[3], 0)
@example(OVERFLOWS[5], 0)
@example(OVERFLOWS[6], 0)
def test_no_text_raises(text: str | None, now: int) -> None:
    """Each reader returns a value of its kind, within its bounds, for any text; what may be sent back is ASCII without
    controls.
    """
    date = origin_text.date(text)
    assert date is None or abs(date) < 2**60
    wait = origin_text.retry_after(text, now)
    assert wait is None or 0 <= wait <= origin_text.LONGEST_WAIT
    for sent_back in (origin_text.last_modified(text), origin_text.entity_tag(text)):
        assert sent_back is None or (sent_back == text and all(" " <= character <= "~" for character in sent_back))
    kind = origin_text.content_type(text)
    assert kind.isascii()
    assert len(kind) <= 255
    for number in (origin_text.length(text), origin_text.whole_length(text)):
        assert number is None or 0 <= number < 10**19
    span = origin_text.content_range(text)
    assert span is None or all(0 <= number < 10**19 for number in span)


@given(st.integers(0, 4_000_000_000))
def test_dates_are_read_as_they_were_written(seconds: int) -> None:
    """A date in the form of RFC 9110 is the moment that was written."""
    assert origin_text.date(formatdate(seconds, usegmt=True)) == seconds * SECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 784111777),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 784111777),
        ("Sun, 06 Nov 1994 08:49:60 GMT", 784111799),
        *((text, None) for text in OVERFLOWS if text not in OVERFLOWS[2:4]),
        ("Sun, 06 Nov 1994 08:49:37 GMT\xe9", None),
        ("soon", None),
    ],
)
def test_all_three_forms_of_a_date(text: str, seconds: int | None) -> None:
    """Recipients take the old forms too, and a date without a zone is one in UTC, wherever this machine stands."""
    assert origin_text.date(text) == (None if seconds is None else seconds * SECOND)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("bytes 0-0/77", 77),
        ("Bytes 0-0/77", 77),
        ("bytes 0-0/*", None),
        ("bytes */77", 77),
        ("bytes 0-0/" + "9" * 30, None),
        ("items 0-0/77", None),
        (None, None),
    ],
)
def test_the_length_of_the_whole(text: str | None, whole: int | None) -> None:
    """``Content-Range`` tells it in a 206 and in a 416; the unit has no case."""
    assert origin_text.whole_length(text) == whole
