"""What is said for what is no plain word: each line is written in one way and said as in the other."""
# ruff: noqa: RUF001  the letters and marks that it names are meant

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.pronunciation import Pronouncer
from trivium_server.speech.spoken_text import speakable_units
from trivium_server.speech.traced_text import TracedText

_SAID = {
    "numbers": """
        0 = zero
        42 = forty two
        101 = one hundred one
        1,234 = one thousand two hundred thirty four
        1,234,567.89 = one million two hundred thirty four thousand five hundred sixty seven point eight nine
        12345 = twelve thousand three hundred forty five
        1 000 000 = one million
        1.000.000 = one million
        3.14 = three point one four
        3.50 = three point five zero
        0.05 = zero point zero five
        .5 = zero point five
        -5 = minus five
        −0.5 = minus zero point five
        1st, 2nd, 3rd, 21st and 112th = first, second, third, twenty first and one hundred twelfth
        ½ = one half
        2½ cups = two and a half cups
        2 1/2 cups = two and a half cups
        1¾ = one and three quarters
        3 5/8 = three and five eighths
        3/4 = three quarters
        50% = fifty percent
        3.5% = three point five percent
        5-10% = five to ten percent
        5%–10% = five percent to ten percent
        pages 10-20 = pages ten to twenty
        20–30 km = twenty to thirty kilometers
        1990-1995 = nineteen ninety to nineteen ninety five
        1.5e-3 = one point five times ten to the power of minus three
        10^6 = ten to the power of six
        2+2=4 = two plus two equals four
        10÷2 = ten divided by two
        x² = X squared
        ±5 = plus or minus five
        ~5 km = about five kilometers
        ~$5 = about five dollars
        <5 = less than five
        16:9 = sixteen to nine
        a 2:1 ratio = a two to one ratio
        1920x1080 = nineteen twenty by ten eighty
        3 x 4 x 5 cm = three by four by five centimeters
        10x faster = ten times faster
        #5 = number five
        No. 5 = number five
        007 = zero zero seven
        12345678901 = one two three four five six seven eight nine zero one
        2000000000 = two billion
        version 2.0.1 = version two point zero point one
        v2.0 = version two point zero
        10.0.0.1 = ten dot zero dot zero dot one
        24/7 = twenty four seven
        9/11 = nine eleven
        5M users = five million users
        10bn people = ten billion people
    """,
    "dates": """
        in 2019 = in twenty nineteen
        in 1905 = in nineteen oh five
        the 1990s = the nineteen nineties
        the '90s = the nineties
        2024-10-12 = October twelfth, twenty twenty four
        10/12/2024 = October twelfth, twenty twenty four
        10-12-2024 = October twelfth, twenty twenty four
        31/12/2024 = December thirty first, twenty twenty four
        15.08.1987 = the fifteenth of August nineteen eighty seven
        March 3, 1987 = March third, nineteen eighty seven
        3 March 1987 = the third of March nineteen eighty seven
        Jan. 5th = January fifth
        Mon. Jan. 5 = Monday January fifth
        Mon, Jan 5 = Monday, January fifth
        Mon-Fri = Monday to Friday
        Sat. and Sun. = Saturday and Sunday
        5-6 Oct. = five to the sixth of October
    """,
    "times": """
        10:30 = ten thirty
        9:05 = nine oh five
        12:00 = twelve o'clock
        17:45 = seventeen forty five
        at 9 a.m. = at nine A.M.
        at 9am = at nine A.M.
        at 9:30am = at nine thirty A.M.
        at 10.30am = at ten thirty A.M.
        9am-5pm = nine A.M. to five P.M.
        9:00-17:30 = nine o'clock to seventeen thirty
        2024-10-12T14:30Z = October twelfth, twenty twenty four at fourteen thirty U.T.C.
    """,
    "money": """
        $5 = five dollars
        $1 = one dollar
        $9.99 = nine dollars and ninety nine cents
        $1,234.56 = one thousand two hundred thirty four dollars and fifty six cents
        $5 million = five million dollars
        $1.5M = one point five million dollars
        $10bn = ten billion dollars
        €1.2bn = one point two billion euros
        -$5 = minus five dollars
        $-5 = minus five dollars
        $5-10 million = five to ten million dollars
        $5-$10 = five to ten dollars
        $5.50-$6.00 = five dollars and fifty cents to six dollars
        $20/hour = twenty dollars per hour
        £20 = twenty pounds
        ¥1000 = one thousand yen
        50¢ = fifty cents
        20 € = twenty euros
        3,50 € = three euros and fifty cents
        5€ = five euros
        US$5 million = five million U.S. dollars
        AU$20 = twenty Australian dollars
        10 EUR = ten euros
        CHF 20 = twenty Swiss francs
    """,
    "units": """
        5 km = five kilometers
        1 km = one kilometer
        5-10km = five to ten kilometers
        100 km/h = one hundred kilometers per hour
        5 m/s = five meters per second
        100m = one hundred meters
        5 km² = five square kilometers
        250 mg = two hundred fifty milligrams
        5 g = five grams
        1 l = one liter
        3.5 GB = three point five gigabytes
        3 GHz = three gigahertz
        100 W = one hundred watts
        230 V = two hundred thirty volts
        5 dB = five decibels
        5h = five hours
        10 s = ten seconds
        -5°C = minus five degrees Celsius
        70°F = seventy degrees Fahrenheit
        6'2" = six foot two
        12″ by 5′ = twelve inches by five feet
        5 in. = five inches
        60 mph = sixty miles per hour
        72 bpm = seventy two beats per minute
    """,
    "phones": """
        555-123-4567 = five five five, one two three, four five six seven
        (555) 123-4567 = five five five, one two three, four five six seven
        555.123.4567 = five five five, one two three, four five six seven
        +1 555 123 4567 = plus one, five five five, one two three, four five six seven
        1-800-555-1234 = one, eight zero zero, five five five, one two three four
        +44 20 7946 0958 = plus four four, two zero, seven nine four six, zero nine five eight
        555-1234 = five five five, one two three four
        call 911 = call nine one one
    """,
    "addresses": """
        https://example.com = example dot com
        www.example.com/docs/index.html = example dot com slash docs slash index dot html
        http://localhost:8080/ = localhost colon eighty eighty
        http://10.0.0.1:80 = ten dot zero dot zero dot one colon eighty
        https://example.com/2024-10-12/a_b?x=1#y = example dot com slash 2024 dash 10 dash 12 slash a underscore b
        john.doe@example.co.uk = john dot doe at example dot co dot U.K.
        books@shop.museum = books at shop dot museum
    """,
    "abbreviations": """
        Dr. Smith, Mr. Jones and Prof. Lee = Doctor Smith, Mister Jones and Professor Lee
        St. James St. = Saint James Street
        123 Oak Dr. = one hundred twenty three Oak Drive
        10 Downing St, London = ten Downing Street, London
        Fifth Ave., the 5th Ave = Fifth Avenue, the fifth Avenue
        Sunset Blvd = Sunset Boulevard
        e.g. this, i.e. that = for example this, that is that
        cats vs. dogs = cats versus dogs
        Acme Inc. = Acme Incorporated
        p. 5 and pp. 6-7 = page five and pages six to seven
        vol. 2, ch. 3, Fig. 4 = volume two, chapter three, Figure four
        the sales dept. of = the sales department of
        max. 5, min. 3 = maximum five, minimum three
        3 min. = three minutes.
        approx. 5 = approximately five
        w/o = without
    """,
    "roman": """
        Chapter IV = Chapter four
        World War II = World War two
        Appendix II = Appendix two
        Henry VIII = Henry the eighth
        Pope John Paul II = Pope John Paul the second
        Louis XIV = Louis the fourteenth
        the XIX century = the nineteenth century
        the XXIst century = the twenty first century
        an IV drip = an I.V. drip
        Malcolm X = Malcolm ex
        MIX = mix
    """,
    "acronyms": """
        FBI = F.B.I.
        U.S. = U.S
        UK = U.K.
        HTML = H.T.M.L.
        CPU = C.P.U.
        AI = A.I.
        NASA = nasa
        JSON = Jason
        AT&T = A.T. and T.
        R&D = R and D
        MP3 = M.P. three
        CO₂ = C.O. two
        B2B = B to B
        COVID-19 = covid nineteen
        RAVALOMANANA = Ravalomanana
        LGBTQIA = L.G.B.T.Q.I.A.
        MARRIED = married
    """,
}
_LINES = [(kind, line.strip()) for kind, lines in _SAID.items() for line in lines.strip().splitlines()]
_MARKS = re.compile(r"[^A-ZÀ-ɏa-zɐ-ʯᵊᵻæðŋθ]")


@pytest.fixture(scope="module")
def pronounce() -> Pronouncer:
    """Reads a word that the lexicon does not have as the letters that it has."""
    return Pronouncer(lambda word: word.lower(), is_british=False)


def sounds(pronounce: Pronouncer, text: str) -> str:
    """What is said, without stress and pauses."""
    return _MARKS.sub("", pronounce(text)[0].phonemes)


@pytest.mark.parametrize(("kind", "line"), _LINES, ids=[f"{kind}-{line.split(' = ')[0]}" for kind, line in _LINES])
def test_it_is_said_as_in_words(pronounce: Pronouncer, kind: str, line: str) -> None:
    written, words = line.rsplit(" = ", 1)
    assert sounds(pronounce, written) == sounds(pronounce, words) != "", kind


@pytest.mark.parametrize("line", [line for _, line in _LINES])
def test_what_is_said_is_said_in_any_sentence(pronounce: Pronouncer, line: str) -> None:
    written = line.rsplit(" = ", 1)[0]
    text = f"We know of “{written}”, and of another."
    pieces = pronounce(text)[1]
    assert [text[piece.start : piece.end] for piece in pieces] == [piece.text for piece in pieces]
    assert [piece.text for piece in pieces][:3] == ["We", "know", "of"]
    assert [piece.text for piece in pieces][-3:] == ["and", "of", "another"]


def test_words_that_are_rewritten_together_are_one(pronounce: Pronouncer) -> None:
    text = "Call (555) 123-4567 or pay 20 € for 5 km² by p. 5."
    assert [piece.text for piece in pronounce(text)[1]] == [
        *("Call", "555) 123-4567", "or", "pay", "20 €", "for", "5", "km²", "by", "p", "5")
    ]


def test_what_was_replaced_stands_for_what_it_replaced() -> None:
    traced = TracedText.of("a bb c").replaced((re.compile("bb"), lambda _: "x y z"))
    assert traced.text == "a x y z c"
    assert list(zip(traced.starts, traced.ends, strict=True)) == [(0, 1), (1, 2), *[(2, 4)] * 5, (4, 5), (5, 6)]
    again = traced.replaced((re.compile("y (?P<new>z)"), lambda _: ""))
    assert again.text == "a x y  c"
    assert (again.starts[4], again.starts[-1]) == (2, 5)


_PARTS = st.sampled_from(
    [
        *"0123456789.,:/-–+%$€£°'\"′″ x()~<>½v²",
        *(" km", "m", "/s", "am", " PM", "bn", "US$", " EUR", " in.", "Jan ", "Mon", "II ", "www.", "a@b", ".com"),
        *("p. ", "e.g. ", "XIX century", "Call ", "\u00a0", "000", "555-", "T14:30"),
    ]
)


@given(st.lists(_PARTS, max_size=40).map("".join))
def test_units_are_of_whole_words_in_order(text: str) -> None:
    start = end = 0
    for unit in speakable_units(text):
        assert unit.text.split() == [unit.text]
        assert text[unit.start : unit.end] == text[unit.start : unit.end].strip() != ""
        assert start <= unit.start
        assert end <= unit.end
        start, end = unit.start, unit.end


@pytest.mark.parametrize(
    "part", ["1", "1,", "1.", "1-", "1 ", "1:", "$1", "1/", "+1 ", "1x", "a.", "I", "000 ", "~", " "]
)
def test_no_text_takes_long_to_rewrite(part: str) -> None:
    text = (part * 4000)[:4000]
    speakable_units(text)
    took_s = []
    for _ in range(3):
        started = time.thread_time()
        speakable_units(text)
        took_s.append(time.thread_time() - started)
    # 10 to 60 ms; minutes, where it were not linear.
    assert min(took_s) < 0.5
