"""Writes tokenizer.json and tokenizer_config.json from the metadata of a GGUF file.

GGUF names the splitting rule of a byte-level BPE tokenizer in `tokenizer.ggml.pre`; the rules below are those that
can be rebuilt exactly. Source of the patterns: llama.cpp's llama-vocab.cpp and the published tokenizer.json files of
the models.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from trivium_models.errors import InvalidGgufError
from trivium_models.gguf_source import GgufSource

_CONTROL, _USER_DEFINED = 3, 4

_LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGITS_ALONE = frozenset({"smollm", "starcoder", "refact", "command-r"})
_GPT2 = frozenset({"gpt-2"})
_LLAMA3 = frozenset({"llama-bpe", "llama3", "llama-v3"})
# Control tokens that end a turn or a text in the published chat formats, besides the one that the file names.
_END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<|end|>", "</s>")


class TokenizerSource:
    """The tokenizer of a GGUF file. Raises InvalidGgufError for kinds that cannot be rebuilt exactly."""

    def __init__(self, source: GgufSource) -> None:
        kind = source.text("tokenizer.ggml.model")
        if kind != "gpt2":
            raise InvalidGgufError(
                f"{source.path.name}: tokenizer kind {kind!r} is not supported; only 'gpt2' (byte-level BPE) is"
            )
        self._rule = source.text("tokenizer.ggml.pre")
        if self._rule not in _DIGITS_ALONE | _GPT2 | _LLAMA3:
            supported = ", ".join(sorted(_DIGITS_ALONE | _GPT2 | _LLAMA3))
            raise InvalidGgufError(
                f"{source.path.name}: splitting rule {self._rule!r} (tokenizer.ggml.pre) is not supported; "
                f"these are: {supported}"
            )
        self.tokens = source.texts("tokenizer.ggml.tokens")
        self._kinds = source.numbers("tokenizer.ggml.token_type")
        self._merges = source.texts("tokenizer.ggml.merges")
        if len(self._kinds) != len(self.tokens):
            raise InvalidGgufError(f"{source.path.name}: {len(self.tokens)} tokens but {len(self._kinds)} token types")
        self.bos_id = source.token_id("tokenizer.ggml.bos_token_id")
        self.eos_id = source.token_id("tokenizer.ggml.eos_token_id")
        self.pad_id = source.token_id("tokenizer.ggml.padding_token_id")
        self.unknown_id = source.token_id("tokenizer.ggml.unknown_token_id")
        if self.eos_id is None:
            raise InvalidGgufError(f"{source.path.name}: metadata key tokenizer.ggml.eos_token_id is missing")
        for token_id in (self.bos_id, self.eos_id, self.pad_id, self.unknown_id):
            if token_id is not None and token_id >= len(self.tokens):
                raise InvalidGgufError(
                    f"{source.path.name}: token id {token_id} lies outside the vocabulary of {len(self.tokens)}"
                )
        self.add_bos = (
            source.flag("tokenizer.ggml.add_bos_token", default=self._rule in _LLAMA3) and self.bos_id is not None
        )
        self.add_prefix_space = source.flag("tokenizer.ggml.add_space_prefix", default=False)
        self.chat_template = source.text("tokenizer.chat_template") if source.has("tokenizer.chat_template") else None

    def end_ids(self) -> list[int]:
        """Token ids that end an answer: the file's own first, then other well-known end tokens of its vocabulary."""
        assert self.eos_id is not None
        ids = {token: index for index, token in enumerate(self.tokens)}
        others = [ids[token] for token in _END_TOKENS if token in ids and self._kinds[ids[token]] == _CONTROL]
        return list(dict.fromkeys([self.eos_id, *others]))

    def tokenizer(self) -> Tokenizer:
        """The tokenizer as the tokenizers library runs it."""
        try:
            merges = [_pair(merge) for merge in self._merges]
            vocabulary = {token: index for index, token in enumerate(self.tokens)}
            bpe = models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False, ignore_merges=self._rule in _LLAMA3)
        except Exception as error:  # the tokenizers library raises bare Exception for a merge outside the vocabulary
            raise InvalidGgufError(f"the tokenizer's vocabulary and merges do not fit together ({error})") from error
        tokenizer = Tokenizer(bpe)
        tokenizer.pre_tokenizer = self._splitter()
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = self._post_processor()
        pairs = list(zip(self.tokens, self._kinds, strict=True))
        special = [AddedToken(token, special=True, normalized=False) for token, kind in pairs if kind == _CONTROL]
        tokenizer.add_special_tokens(special)
        tokenizer.add_tokens(
            [AddedToken(token, special=False, normalized=False) for token, kind in pairs if kind == _USER_DEFINED]
        )
        return tokenizer

    def write(self, folder: Path, context_len: int) -> None:
        """Writes tokenizer.json and tokenizer_config.json into the folder."""
        self.tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
        config: dict[str, object] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context_len,
            "add_bos_token": self.add_bos,
            "add_prefix_space": self.add_prefix_space,
            "clean_up_tokenization_spaces": False,
        }
        named = {
            "bos_token": self.bos_id,
            "eos_token": self.eos_id,
            "pad_token": self.pad_id,
            "unk_token": self.unknown_id,
        }
        config.update({name: self.tokens[index] for name, index in named.items() if index is not None})
        if self.chat_template is not None:
            config["chat_template"] = self.chat_template
        text = json.dumps(config, ensure_ascii=False, indent=2) + "\n"
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")

    def _splitter(self) -> pre_tokenizers.PreTokenizer:
        if self._rule in _LLAMA3:
            return pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(_LLAMA3_PATTERN), behavior="isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=self.add_prefix_space, use_regex=False),
                ]
            )
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=self.add_prefix_space, use_regex=True)
        if self._rule in _GPT2:
            return byte_level
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])

    def _post_processor(self) -> processors.PostProcessor:
        if not self.add_bos or self.bos_id is None:
            return processors.ByteLevel(trim_offsets=False)
        bos = self.tokens[self.bos_id]
        return processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, self.bos_id)]
        )


def _pair(merge: str) -> tuple[str, str]:
    left, separator, right = merge.partition(" ")
    if not separator:
        raise InvalidGgufError(f"tokenizer merge {merge!r} is not a pair")
    return left, right
