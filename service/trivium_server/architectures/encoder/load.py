"""Text encoders in the Hugging Face ONNX layout: reads a folder and makes the model that it holds."""

from collections.abc import Callable
from pathlib import Path

from trivium_server.architectures.encoder.base import EncoderParts
from trivium_server.architectures.encoder.embedding import SentenceEncoder, SparseEncoder
from trivium_server.architectures.encoder.folder import (
    CONFIG_FILE,
    LOGITS_OUTPUT,
    SENTENCE_OUTPUT,
    STATES_OUTPUTS,
    TOKENIZER_FILE,
    EncoderFolder,
    EncoderTask,
    read_encoder_folder,
)
from trivium_server.architectures.encoder.graph import EncoderGraph, Output
from trivium_server.architectures.encoder.heads import CrossEncoder, SequenceClassifier, TokenTagger
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.text_capabilities import EmbeddingInfo, VectorKind
from trivium_server.config import Config
from trivium_server.runtime.session import Session, SessionError, SessionOptions
from trivium_server.text.encoder_tokenizer import EncoderTokenizer, TokenizerError

LOAD_ERRORS = (ModelFolderError, SessionError, TokenizerError)
"""What `load` raises about a folder; the text says what is wrong with it."""

EncoderModel = SentenceEncoder | SparseEncoder | CrossEncoder | SequenceClassifier | TokenTagger


def load(folder: Path, config: Config, progress: Callable[[float], None]) -> EncoderModel:
    """Loads a model folder; takes seconds, so call it off the event loop. progress: called with 0 to 1.

    Raises one of LOAD_ERRORS with what is wrong.
    """
    description = read_encoder_folder(folder, precision=config.runtime.precision)
    progress(0.1)
    # Cores are kept busy by as many runs; more threads in a run would only wait for each other.
    options = SessionOptions(
        intra_op_threads=1, spin_duration_us=0, execution_providers=config.runtime.execution_providers
    )
    session = Session(description.graph, options)
    progress(0.7)
    graph = EncoderGraph(session, file=description.graph.name, pad_id=description.pad_id)
    task = description.task(graph.outputs)
    parts = EncoderParts(
        name=folder.name,
        tokenizer=_tokenizer(description, task),
        graph=graph,
        execution_provider=session.execution_provider,
        config=config.encoding,
    )
    progress(0.9)
    model = _model(description, task, parts)
    progress(1.0)
    return model


def _tokenizer(folder: EncoderFolder, task: EncoderTask) -> EncoderTokenizer:
    sentence = folder.sentence
    max_tokens = min(folder.max_tokens, sentence.max_tokens or folder.max_tokens)
    tokenizer = EncoderTokenizer(folder.tokenizer, max_tokens=max_tokens, lowercase=sentence.lowercase)
    if tokenizer.max_text_tokens < 1 or (task is EncoderTask.RERANK and tokenizer.max_query_tokens < 1):
        raise ModelFolderError(f"{CONFIG_FILE}: {max_tokens} tokens leave no room for text beside special tokens")
    for prompt in sentence.prompts:
        if len(tokenizer.token_ids([prompt.text])[0]) >= tokenizer.max_text_tokens:
            raise ModelFolderError(
                f"config_sentence_transformers.json: the prompt {prompt.name!r} leaves no room for text"
            )
    if task is EncoderTask.EXTRACT and not tokenizer.has_words:
        raise ModelFolderError(f"{TOKENIZER_FILE}: has no pre_tokenizer, and entities are made of words")
    return tokenizer


def _model(folder: EncoderFolder, task: EncoderTask, parts: EncoderParts) -> EncoderModel:
    if task is EncoderTask.EMBED:
        return _sentence_encoder(folder, parts)
    is_per_token = task in {EncoderTask.EMBED_SPARSELY, EncoderTask.EXTRACT}
    logits = parts.graph.trial(LOGITS_OUTPUT, is_per_token=is_per_token)
    if task is EncoderTask.EMBED_SPARSELY:
        info = EmbeddingInfo(
            dimensions=logits.width,
            supported_dimensions=(logits.width,),
            kinds=(VectorKind.SPARSE,),
            prompts=folder.sentence.prompts,
        )
        return SparseEncoder(parts, info, logits=logits)
    if logits.width != len(folder.labels):
        raise ModelFolderError(
            f"{CONFIG_FILE}: id2label has {len(folder.labels)} labels; {folder.graph.name} has {logits.width}"
        )
    if task is EncoderTask.RERANK:
        return CrossEncoder(parts, logits=logits)
    if task is EncoderTask.CLASSIFY:
        return SequenceClassifier(parts, folder.labels, logits=logits, is_multi_label=folder.is_multi_label)
    return TokenTagger(parts, folder.labels, logits=logits)


def _sentence_encoder(folder: EncoderFolder, parts: EncoderParts) -> SentenceEncoder:
    settings, graph = folder.sentence, parts.graph
    name = next((name for name in STATES_OUTPUTS if name in graph.outputs), None)
    states = graph.trial(name, is_per_token=True) if name else None
    if states is not None and folder.states_len not in {None, states.width}:
        raise ModelFolderError(
            f"{folder.graph.name}: {states.name} has {states.width}; {CONFIG_FILE} says hidden_size {folder.states_len}"
        )
    sentence = states
    if SENTENCE_OUTPUT in graph.outputs:
        sentence = graph.trial(SENTENCE_OUTPUT, is_per_token=False)
    elif settings.needs_sentence_output:
        raise ModelFolderError(
            f"modules.json: {settings.needs_sentence_output} is only served in a graph with an output {SENTENCE_OUTPUT}"
        )
    assert sentence is not None  # the task was chosen by these outputs
    return SentenceEncoder(
        parts,
        _info(folder, sentence, has_states=states is not None and states.width == sentence.width),
        sentence=sentence,
        states=states,
        pooling=settings.pooling,
        is_normalized=settings.is_normalized,
    )


def _info(folder: EncoderFolder, sentence: Output, *, has_states: bool) -> EmbeddingInfo:
    stated = folder.sentence.dimensions
    if stated and stated[0] > sentence.width:
        raise ModelFolderError(f"matryoshka_dimensions: {stated[0]} is more than the model has, {sentence.width}")
    return EmbeddingInfo(
        dimensions=sentence.width,
        supported_dimensions=tuple(dict.fromkeys((sentence.width, *stated))),
        kinds=(VectorKind.DENSE, VectorKind.PER_TOKEN) if has_states else (VectorKind.DENSE,),
        prompts=folder.sentence.prompts,
    )
