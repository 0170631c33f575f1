"""Requests of TextGenerationService into frozen requests. Every field is checked, every violation reported at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from trivium.v1 import generation_pb2 as pb
from trivium_server.architectures.capabilities import (
    ChatMessage,
    Conversation,
    GenerationRequest,
    ModelLimits,
    Prompt,
    Role,
    SamplingDefaults,
    SamplingOverrides,
    TextPrompt,
    TokenPrompt,
)
from trivium_server.rpc.violations import MAX_STOP_SEQUENCE_BYTES, Violations

_ROLES = {
    pb.CHAT_ROLE_SYSTEM: Role.SYSTEM,
    pb.CHAT_ROLE_USER: Role.USER,
    pb.CHAT_ROLE_ASSISTANT: Role.ASSISTANT,
}
_OPTIONAL_NUMBERS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "max_output_tokens",
    "min_output_tokens",
    "candidate_count",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What this server and the request's model allow. Without a model, only what holds for every one is checked."""

    max_prompt_bytes: int
    limits: ModelLimits | None = None
    defaults: SamplingDefaults | None = None


def generation_request(source: pb.GenerationInput, bounds: Bounds, found: Violations) -> GenerationRequest:
    """Returns the checked request. Raises what `found` holds already and what is found here, all together."""
    prompt = _prompt(source, bounds, found, limit_tokens=True)
    sampling = _sampling(source.sampling, bounds, found)
    top_logprobs = source.output.top_logprobs if source.output.HasField("top_logprobs") else None
    if top_logprobs is not None:
        found.number("output.top_logprobs", top_logprobs)
    found.raise_if_any()
    assert prompt is not None, "a missing prompt is a violation"
    return GenerationRequest(
        prompt=prompt,
        sampling=sampling,
        top_logprobs=top_logprobs,
        include_stop_sequence=source.output.include_stop_sequence,
    )


def prompt_to_count(source: pb.GenerationInput, bounds: Bounds, found: Violations) -> Prompt:
    """Returns the checked prompt alone; it may be longer than the model allows."""
    prompt = _prompt(source, bounds, found, limit_tokens=False)
    found.raise_if_any()
    assert prompt is not None, "a missing prompt is a violation"
    return prompt


def _prompt(source: pb.GenerationInput, bounds: Bounds, found: Violations, *, limit_tokens: bool) -> Prompt | None:
    kind = source.WhichOneof("prompt")
    if kind == "conversation":
        return _conversation(source.conversation, bounds, found)
    if kind == "text":
        if not source.text:
            found.add("input.text", "is empty")
        _check_bytes("input.text", _num_bytes((source.text,)), bounds.max_prompt_bytes, found)
        return TextPrompt(text=source.text)
    if kind == "tokens":
        return _tokens(source.tokens, bounds, found, limit_tokens=limit_tokens)
    found.add("input.prompt", "is required: one of conversation, text, tokens")
    return None


def _tokens(source: pb.TokenSequence, bounds: Bounds, found: Violations, *, limit_tokens: bool) -> TokenPrompt:
    # Four bytes of prompt for each id bound the work for a model whose limits are not known yet.
    most = bounds.max_prompt_bytes // 4
    if limit_tokens and bounds.limits and len(source.ids) > bounds.limits.max_input_tokens:
        found.too_long("input.tokens.ids", len(source.ids), bounds.limits.max_input_tokens)
        return TokenPrompt(ids=())
    if len(source.ids) > most:
        found.too_large("input.tokens.ids", len(source.ids), most, "items")
        return TokenPrompt(ids=())
    if not source.ids:
        found.add("input.tokens.ids", "is empty; at least one token is needed")
    ids = tuple(source.ids)
    _check_vocabulary("input.tokens.ids", ids, bounds, found)
    return TokenPrompt(ids=ids)


def _conversation(source: pb.Conversation, bounds: Bounds, found: Violations) -> Conversation:
    path = "input.conversation"
    messages = [ChatMessage(role=Role.SYSTEM, text=source.system_instruction)] if source.system_instruction else []
    if not source.messages:
        found.add(f"{path}.messages", "is empty; at least one message is needed")
    if not found.count("conversation.messages", len(source.messages)):
        return Conversation(messages=())
    texts = [source.system_instruction]
    for index, message in enumerate(source.messages[:1024]):
        here = f"{path}.messages[{index}]"
        role = _role(message.role, here, found)
        if role is Role.SYSTEM and index:
            found.add(f"{here}.role", "a system message may only be the first")
        if role is Role.SYSTEM and not index and source.system_instruction:
            found.add(f"{path}.system_instruction", "and a first message with CHAT_ROLE_SYSTEM exclude one another")
        if role is Role.SYSTEM and index == len(source.messages) - 1:
            found.add(f"{here}.role", "the last message must be the user's or the assistant's")
        text = _text_of(message, here, found)
        texts.append(text)
        if role is not None:
            messages.append(ChatMessage(role=role, text=text))
    _check_bytes(path, _num_bytes(texts), bounds.max_prompt_bytes, found)
    return Conversation(messages=tuple(messages))


def _role(role: int, path: str, found: Violations) -> Role | None:
    if role in _ROLES:
        return _ROLES[pb.ChatRole.ValueType(role)]
    found.add(f"{path}.role", "is required" if role == pb.CHAT_ROLE_UNSPECIFIED else f"{role} is no known ChatRole")
    return None


def _text_of(message: pb.ChatMessage, path: str, found: Violations) -> str:
    if not message.parts:
        found.add(f"{path}.parts", "is empty; at least one part is needed")
    if not found.count("conversation.messages.parts", len(message.parts), f"{path}.parts"):
        return ""
    texts = []
    for index, part in enumerate(message.parts[:64]):
        if part.WhichOneof("part") != "text":
            found.add(f"{path}.parts[{index}]", "has no content; one of text is required")
        texts.append(part.text)
    return "".join(texts)


def _sampling(source: pb.SamplingParameters, bounds: Bounds, found: Violations) -> SamplingOverrides:
    present = {field.name for field, _ in source.ListFields()}
    numbers = {name: getattr(source, name) for name in _OPTIONAL_NUMBERS if name in present}
    for name, value in numbers.items():
        found.number(f"sampling.{name}", value)
    _check_output_tokens(source, bounds, found)
    _check_candidates(source, bounds, found)
    few_stops = found.count("sampling.stop_sequences", len(source.stop_sequences))
    for index, sequence in enumerate(source.stop_sequences if few_stops else ()):
        here = f"input.sampling.stop_sequences[{index}]"
        if not sequence:
            found.add(here, "is empty")
        _check_bytes(here, _num_bytes((sequence,)), MAX_STOP_SEQUENCE_BYTES, found)
    if found.count("sampling.stop_token_ids", len(source.stop_token_ids)):
        _check_vocabulary("input.sampling.stop_token_ids", source.stop_token_ids, bounds, found)
    few_biases = found.count("sampling.logit_bias", len(source.logit_bias))
    for token_id, bias in source.logit_bias.items() if few_biases else ():
        found.number("sampling.logit_bias", bias, f"input.sampling.logit_bias[{token_id}]")
        _check_vocabulary("input.sampling.logit_bias", (token_id,), bounds, found)
    return SamplingOverrides(
        **numbers,
        stop_sequences=tuple(source.stop_sequences) if few_stops else (),
        stop_token_ids=tuple(source.stop_token_ids),
        seed=source.seed if source.HasField("seed") else None,
        logit_bias=dict(source.logit_bias) if few_biases else {},
    )


def _check_candidates(source: pb.SamplingParameters, bounds: Bounds, found: Violations) -> None:
    most = bounds.limits.max_candidates if bounds.limits else None
    if most is not None and source.candidate_count > most:
        found.add("input.sampling.candidate_count", f"is {source.candidate_count}; this server allows {most}")


def _check_output_tokens(source: pb.SamplingParameters, bounds: Bounds, found: Violations) -> None:
    most = bounds.limits.max_output_tokens if bounds.limits else None
    if most is not None and source.HasField("max_output_tokens") and source.max_output_tokens > most:
        found.add("input.sampling.max_output_tokens", f"is {source.max_output_tokens}; the model allows {most}")
    if not source.HasField("min_output_tokens"):
        return
    default = bounds.defaults.max_output_tokens if bounds.defaults else None
    ceiling = source.max_output_tokens if source.HasField("max_output_tokens") else default
    if ceiling is not None and source.min_output_tokens > ceiling:
        found.add(
            "input.sampling.min_output_tokens",
            f"is {source.min_output_tokens}; it must be at most max_output_tokens, {ceiling}",
        )


def _check_vocabulary(path: str, ids: Iterable[int], bounds: Bounds, found: Violations) -> None:
    if not bounds.limits:
        return
    size = bounds.limits.vocabulary_size
    for token_id in ids:
        if token_id >= size:
            found.add(path, f"has token id {token_id}; the model's vocabulary has ids 0 to {size - 1}")
            return


def _check_bytes(path: str, actual: int, limit: int, found: Violations) -> None:
    if actual > limit:
        found.too_large(path, actual, limit, "bytes")


def _num_bytes(texts: Iterable[str]) -> int:
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
