"""Texts and pairs of texts into token ids, as an encoder wants them: special tokens, prompts, and cuts to a limit."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tokenizers import Encoding, Tokenizer

from trivium_server.errors import FieldViolation, InputTooLong, InvalidArgument, TriviumError
from trivium_server.text.entities import Word

# Up to so many characters are tokenized in a tenth of a millisecond.
SHORT_CHARACTERS = 2048

Keep = Literal["start", "end"] | None
"""Which part of a text that is too long stays; None: such a text is an error."""


class TokenizerError(Exception):
    """tokenizer.json is damaged, or cannot do what a model of its kind needs."""


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """What a model reads: ids, as many type ids, and the words where they were asked for."""

    ids: Sequence[int]
    type_ids: Sequence[int]
    truncated: bool
    words: Sequence[Word] = ()


class _Fixed(NamedTuple):
    """Tokens that the tokenizer puts around texts."""

    ids: list[int]
    type_ids: list[int]


class _Template(NamedTuple):
    """What is put before, between and after texts, and the type id of each text's tokens."""

    fixed: list[_Fixed]
    text_types: list[int]

    @property
    def num_fixed(self) -> int:
        return sum(len(each.ids) for each in self.fixed)

    def fill(self, texts: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        ids, types = list(self.fixed[0].ids), list(self.fixed[0].type_ids)
        for text, text_type, after in zip(texts, self.text_types, self.fixed[1:], strict=True):
            ids.extend(text)
            ids.extend(after.ids)
            types.extend([text_type] * len(text))
            types.extend(after.type_ids)
        return ids, types


class EncoderTokenizer:
    """Encodes for one model; what spells a special token is text. May be used by several threads.

    Errors are returned in the place of a text and have the field `text`. For more than SHORT_CHARACTERS, methods
    release the GIL while they tokenize.
    """

    def __init__(self, description: str, *, max_tokens: int, lowercase: bool = False) -> None:
        """description: the text of tokenizer.json. max_tokens: special tokens included. lowercase: before all else.

        Raises TokenizerError.
        """
        try:
            whole = Tokenizer.from_str(description)
            whole.no_truncation()
            whole.no_padding()
            self._single = _template(whole.encode("a"), num_texts=1)
            self._pair = _template(whole.encode("a", "a"), num_texts=2)
            self._tokenizer = _text_tokenizer(whole)
        except Exception as error:  # tokenizers raises Exception itself
            raise TokenizerError(f"tokenizer.json: {error}") from error
        self.max_tokens = max_tokens
        self._lowercase = lowercase

    @property
    def has_words(self) -> bool:
        """It splits texts into words first, which `encode_words` needs."""
        return self._tokenizer.pre_tokenizer is not None

    @property
    def max_query_tokens(self) -> int:
        """The tokens of a query that leave room for one token of a document."""
        return self.max_tokens - self._pair.num_fixed - 1

    @property
    def max_text_tokens(self) -> int:
        """The tokens of a text itself, prompt included."""
        return self.max_tokens - self._single.num_fixed

    def encode(
        self, texts: Sequence[str], *, prompt: str = "", keep: Keep = None
    ) -> list[TokenizedText | TriviumError]:
        """Encodes each text with the prompt before it, which is never cut."""
        whole = [prompt + text for text in texts]
        return [self._fitted(text, ids, prompt, keep) for text, ids in zip(whole, self.token_ids(whole), strict=True)]

    def encode_pairs(
        self, query: Sequence[int], documents: Sequence[str], *, keep: Keep = None
    ) -> list[TokenizedText | TriviumError]:
        """Encodes a query, of at most max_query_tokens and never cut, with each document."""
        room = self.max_tokens - self._pair.num_fixed - len(query)
        outcomes: list[TokenizedText | TriviumError] = []
        for ids in self.token_ids(documents):
            if len(ids) > room and keep is None:
                outcomes.append(InputTooLong("text", self.max_tokens - room + len(ids), self.max_tokens))
            else:
                cut = ids[_kept(len(ids), room, keep)]
                outcomes.append(TokenizedText(*self._pair.fill([query, cut]), truncated=len(cut) < len(ids)))
        return outcomes

    def encode_words(self, texts: Sequence[str], *, keep: Keep = None) -> list[TokenizedText | TriviumError]:
        """Encodes each text, and says where its words are. A cut may leave a part of a word, which counts as one."""
        outcomes: list[TokenizedText | TriviumError] = []
        for text, encoding in zip(
            texts, self._tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True
        ):
            count = len(encoding.ids)
            fitted = self._fitted(text, encoding.ids, "", keep)
            if isinstance(fitted, TokenizedText):
                kept = _kept(count, self.max_text_tokens, keep)
                words = _words(text, encoding, range(count)[kept], first_row=len(self._single.fixed[0].ids))
                fitted = TokenizedText(fitted.ids, fitted.type_ids, fitted.truncated, words)
            outcomes.append(fitted)
        return outcomes

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the tokens of texts, without any around them."""
        given = [text.lower() for text in texts] if self._lowercase else list(texts)
        if sum(map(len, given)) <= SHORT_CHARACTERS:
            return [self._tokenizer.encode(text, add_special_tokens=False).ids for text in given]
        # Unlike encode, this releases the GIL.
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(given, add_special_tokens=False)]

    def _fitted(self, text: str, ids: list[int], prompt: str, keep: Keep) -> TokenizedText | TriviumError:
        room, count = self.max_text_tokens, len(ids)
        if count > room:
            if keep is None:
                return InputTooLong("text", count + self._single.num_fixed, self.max_tokens)
            fixed = self._num_prompt_tokens(text, prompt) if keep == "end" else 0
            ids = ids[:fixed] + ids[fixed:][_kept(count - fixed, room - fixed, keep)]
        filled, types = self._single.fill([ids])
        if not filled:
            return InvalidArgument(FieldViolation("text", "has no tokens"))
        return TokenizedText(filled, types, truncated=count > room)

    def _num_prompt_tokens(self, text: str, prompt: str) -> int:
        """Counts the tokens that end within the prompt: one that reaches into the text belongs to the text."""
        if not prompt:
            return 0
        if self._lowercase:
            text, prompt = text.lower(), prompt.lower()
        offsets = self._tokenizer.encode_batch([text], add_special_tokens=False)[0].offsets
        return next((index for index, (_, end) in enumerate(offsets) if end > len(prompt)), len(offsets))


def _kept(count: int, room: int, keep: Keep) -> slice:
    if count <= room:
        return slice(None)
    return slice(count - room, None) if keep == "end" else slice(room)


def _words(text: str, encoding: Encoding, kept: range, *, first_row: int) -> list[Word]:
    words: list[Word] = []
    last = None
    offsets, names = encoding.offsets, encoding.word_ids
    for row, index in enumerate(kept, first_row):
        start, end = offsets[index]
        if words and names[index] is not None and names[index] == last:
            words[-1] = words[-1]._replace(end=max(end, words[-1].end))
        else:
            words.append(Word(row, start, end))
        last = names[index]
    # Tokens of SentencePiece begin with the space before them.
    stripped = [_stripped(text, word) for word in words]
    return [word for word in stripped if word.start < word.end]


def _stripped(text: str, word: Word) -> Word:
    spelled = text[word.start : word.end]
    start = word.start + len(spelled) - len(spelled.lstrip())
    return word._replace(start=start, end=max(start, word.start + len(spelled.rstrip())))


def _template(encoding: Encoding, *, num_texts: int) -> _Template:
    """Takes apart what the tokenizer makes of one-letter texts."""
    fixed = [_Fixed([], []) for _ in range(num_texts + 1)]
    types = [0] * num_texts
    num_seen = 0
    for index, type_id, text in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        if text is None:
            fixed[num_seen].ids.append(index)
            fixed[num_seen].type_ids.append(type_id)
        else:
            num_seen = text + 1
            types[text] = type_id
    if num_seen != num_texts:
        raise ValueError("finds no tokens in the letter a")
    return _Template(fixed, types)


def _text_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Returns one that gives the same ids, but never that of a special token, whatever a text spells out.

    A Unigram model looks for all pieces of its vocabulary in a text, special ones too: they get names there that nobody
    can guess. The one for what is unknown keeps its name.
    """
    description = json.loads(tokenizer.to_str())
    model = description["model"]
    unknown = {model.get("unk_token"), *_unigram_unknown(model)}
    secret = secrets.token_hex(16)
    names = {
        token["content"]: f"\ufdd0{secret}{token['content']}"
        for token in description["added_tokens"]
        if token["special"] and token["content"] not in unknown
    }
    for token in description["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): index for piece, index in vocabulary.items()}
    elif isinstance(vocabulary, list):
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    description["post_processor"] = None
    changed = Tokenizer.from_str(json.dumps(description))
    changed.encode_special_tokens = True
    return changed


def _unigram_unknown(model: dict[str, object]) -> list[str]:
    vocabulary, index = model.get("vocab"), model.get("unk_id")
    return [vocabulary[index][0]] if isinstance(vocabulary, list) and isinstance(index, int) else []
