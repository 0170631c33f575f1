"""Token ids of texts, pairs and words against those of the tokenizers library, and cuts exact to the token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.architectures.tiny_encoders import SPECIAL, WORDS, Style, make_tokenizer
from trivium_server.errors import InputTooLong
from trivium_server.text.encoder_tokenizer import (
    SHORT_CHARACTERS,
    EncoderTokenizer,
    Keep,
    TokenizedText,
    TokenizerError,
)

STYLES: tuple[Style, ...] = ("bert", "mpnet", "xlm-roberta")
PLAIN = st.text(alphabet="abc dots the cat.,:é\n", max_size=60)


def plain(style: Style) -> Tokenizer:
    tokenizer = make_tokenizer(style)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encoder(style: Style, max_tokens: int = 512) -> EncoderTokenizer:
    return EncoderTokenizer(make_tokenizer(style).to_str(), max_tokens=max_tokens)


def encoded(tokenizer: EncoderTokenizer, text: str, *, prompt: str = "", keep: Keep = None) -> TokenizedText:
    (outcome,) = tokenizer.encode([text], prompt=prompt, keep=keep)
    assert isinstance(outcome, TokenizedText), outcome
    return outcome


@pytest.mark.parametrize("style", STYLES)
@given(text=PLAIN, other=PLAIN)
def test_texts_and_pairs_have_the_ids_of_the_library(style: Style, text: str, other: str) -> None:
    ours, theirs = encoder(style), plain(style)
    single, pair = theirs.encode(text), theirs.encode(text, other)
    found = encoded(ours, text)
    assert (list(found.ids), list(found.type_ids)) == (single.ids, single.type_ids)
    (found_pair,) = ours.encode_pairs(ours.token_ids([text])[0], [other])
    assert isinstance(found_pair, TokenizedText)
    assert (list(found_pair.ids), list(found_pair.type_ids)) == (pair.ids, pair.type_ids)


@pytest.mark.parametrize("style", STYLES)
def test_long_texts_have_the_ids_of_short_ones(style: Style) -> None:
    ours, theirs = encoder(style, 1 << 20), plain(style)
    text = "the cats sat on mats. " * SHORT_CHARACTERS
    assert list(encoded(ours, text).ids) == theirs.encode(text).ids


@pytest.mark.parametrize("style", STYLES)
@given(text=st.text(alphabet="<s>/[CLSEPAD]k ", max_size=30))
def test_special_tokens_in_a_text_are_text(style: Style, text: str) -> None:
    special = {plain(style).token_to_id(name) for name in SPECIAL[style].names if name not in {"[UNK]", "<unk>"}}
    for written in (text, text + "".join(SPECIAL[style].names)):
        assert special.isdisjoint(encoder(style).token_ids([written])[0])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("num_words", [0, 1, 7, 8, 9, 30])
def test_cut_at_below_and_beyond_the_limit(style: Style, num_words: int) -> None:
    """Ten tokens, two of them special, leave eight of one word each."""
    tokenizer, whole = encoder(style, 10), encoder(style)
    words = [WORDS[index % len(WORDS)] for index in range(num_words)]
    all_ids = list(encoded(whole, " ".join(words)).ids)
    begin, content, end = all_ids[:1], all_ids[1:-1], all_ids[-1:]
    assert len(content) == num_words
    start, last = (encoded(tokenizer, " ".join(words), keep=keep) for keep in ("start", "end"))
    assert list(start.ids) == begin + content[:8] + end
    assert list(last.ids) == begin + content[-8:] + end if num_words else begin + end
    assert start.truncated == last.truncated == (num_words > 8)
    (outcome,) = tokenizer.encode([" ".join(words)])
    if num_words <= 8:
        assert outcome == start
    else:
        assert isinstance(outcome, InputTooLong)
        assert outcome.metadata == {"field": "text", "actual": str(num_words + 2), "limit": "10"}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("num_words", [0, 4, 5, 6, 7, 30])
def test_prompt_is_never_cut(style: Style, num_words: int) -> None:
    """`query: ` is two tokens; with two special ones, six of ten are left for the text."""
    tokenizer, whole = encoder(style, 10), encoder(style)
    text = " ".join(WORDS[index % len(WORDS)] for index in range(num_words))
    prompt = "query: "
    all_ids = list(encoded(whole, text, prompt=prompt).ids)
    fixed = len(whole.token_ids(["query:"])[0])
    before, content = all_ids[: 1 + fixed], all_ids[1 + fixed : -1]
    room = 10 - 2 - fixed
    last = encoded(tokenizer, text, prompt=prompt, keep="end")
    start = encoded(tokenizer, text, prompt=prompt, keep="start")
    assert list(last.ids) == before + content[max(0, len(content) - room) :] + all_ids[-1:]
    assert list(start.ids) == before + content[:room] + all_ids[-1:]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("num_words", [1, 3, 4, 5, 20])
def test_pair_keeps_its_query_and_cuts_the_document(style: Style, num_words: int) -> None:
    fixed = 3 if style == "bert" else 4
    tokenizer, whole = encoder(style, fixed + 3 + 4), encoder(style)
    query = whole.token_ids(["the cat sat"])[0]
    text = " ".join(WORDS[index % len(WORDS)] for index in range(num_words))
    ids = whole.token_ids([text])[0]
    assert len(ids) == num_words
    for keep, cut in (("start", ids[:4]), ("end", ids[-4:])):
        (found,) = tokenizer.encode_pairs(query, [text], keep=keep)  # type: ignore[arg-type]  # one of Keep
        assert isinstance(found, TokenizedText)
        types = 1 if style == "bert" else 0
        assert list(found.ids)[: 1 + 3] == [0, *query]
        assert list(found.ids)[-len(cut) - 1 : -1] == cut
        assert list(found.type_ids)[-1] == types
        assert found.truncated == (num_words > 4)
    (outcome,) = tokenizer.encode_pairs(query, [text])
    if num_words > 4:
        assert isinstance(outcome, InputTooLong)
        assert outcome.metadata == {"field": "text", "actual": str(fixed + 3 + num_words), "limit": str(fixed + 7)}
    else:
        assert isinstance(outcome, TokenizedText)


@pytest.mark.parametrize("style", STYLES)
def test_words_have_their_code_points_and_first_token(style: Style) -> None:
    tokenizer, text = encoder(style), "\U0001f600 the  cats\nsat on acme"
    (found,) = tokenizer.encode_words([text])
    assert isinstance(found, TokenizedText)
    spelled = [text[word.start : word.end] for word in found.words]
    assert spelled[1:] == ["the", "cats", "sat", "on", "acme"]
    names = [make_tokenizer(style).id_to_token(found.ids[word.row]) or "" for word in found.words]
    assert [name.lstrip("\u2581") for name in names[1:]] == ["the", "cat", "sat", "on", "acme"]


@pytest.mark.parametrize("keep", ["start", "end"])
def test_words_of_a_cut_text_are_those_left(keep: Keep) -> None:
    tokenizer = encoder("bert", 6)
    text = "the cats sat on mats"
    (found,) = tokenizer.encode_words([text], keep=keep)
    assert isinstance(found, TokenizedText)
    wanted = ["the", "cats", "sat"] if keep == "start" else ["sat", "on", "mats"]
    assert [text[word.start : word.end] for word in found.words] == wanted


def test_lower_case_comes_before_all_else() -> None:
    tokenizer = Tokenizer.from_str(make_tokenizer("bert").to_str())
    tokenizer.normalizer = None
    lowering = EncoderTokenizer(tokenizer.to_str(), max_tokens=20, lowercase=True)
    assert lowering.token_ids(["THE Cat"]) == lowering.token_ids(["the cat"])
    assert EncoderTokenizer(tokenizer.to_str(), max_tokens=20).token_ids(["THE"]) != lowering.token_ids(["THE"])


@pytest.mark.parametrize("damaged", ["", "{}", "[]", '{"model": {"type": "WordPiece"}}', "{" * 10])
def test_damaged_file_is_named(damaged: str) -> None:
    with pytest.raises(TokenizerError, match=r"^tokenizer\.json: "):
        EncoderTokenizer(damaged, max_tokens=10)
