"""Times in sentences of the engine: in the page's language and, where they are instants, in the reader's zone."""

from babel import Locale

from server.dashboard.formats import dated_in, with_code

SPANISH = Locale("es")


def test_an_instant_in_a_sentence_is_shown_in_the_readers_zone() -> None:
    shown = dated_in(SPANISH, "They are sent to at 2026-12-05 08:00 UTC.")
    assert shown == (
        'They are sent to at <time datetime="2026-12-05T08:00:00+00:00" data-look="exact">5 dic 2026, 08:00 UTC</time>.'
    )


def test_a_time_on_everybodys_own_clock_belongs_to_no_zone() -> None:
    shown = dated_in(SPANISH, "It goes to everybody at 2026-12-05 10:00 by their own clock.")
    assert "<time" not in shown
    assert "5 dic 2026, 10:00 by their own clock." in shown


def test_what_is_somebodys_own_word_or_to_be_typed_stays_as_it_is_and_is_no_markup() -> None:
    quoted = 'The column "2026-12-05 10:00" is <new>.'
    assert dated_in(SPANISH, quoted) == "The column &#34;2026-12-05 10:00&#34; is &lt;new&gt;."
    assert dated_in(SPANISH, with_code("Type `2026-12-05 10:00`.")) == 'Type <code dir="ltr">2026-12-05 10:00</code>.'


def test_what_is_no_day_of_the_calendar_stays() -> None:
    assert dated_in(SPANISH, "at 2026-13-45 10:00 UTC") == "at 2026-13-45 10:00 UTC"
