"""`trivium see`: what images show."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from trivium import Client
from trivium._calls import choose_model
from trivium._vision_features import CAPABILITIES
from trivium.cli import _options
from trivium.cli._errors import describe, tell
from trivium.cli._image_files import DrawnFiles, checked_files, read_image
from trivium.cli._reporting import to_json
from trivium.cli._vision_tables import analysis_json, print_analysis
from trivium.errors import InvalidArgumentError, ModelNotChosen
from trivium.models import Model
from trivium.vision import ClassifyImage, DetectFaces, DetectObjects, EmbedImage, Feature, ImageAnalysis, ReadText

EPILOG = """\b
Examples:
  trivium see photo.jpg
  trivium see photo.jpg --features detect,faces --draw drawn.png
  trivium see scan.png -f detect -m picodet-layout
  trivium see *.jpg -f classify,embed -m classify=my-classifier --json
  curl -s "$URL" | trivium see -
"""

_KINDS: dict[str, type[Feature]] = {
    "classify": ClassifyImage,
    "detect": DetectObjects,
    "faces": DetectFaces,
    "read": ReadText,
    "embed": EmbedImage,
}
_ALL = tuple(name for name in _KINDS if name != "embed")  # a vector says nothing to people


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True)
@click.option(
    "-f",
    "--features",
    metavar="LIST",
    help=f"What to find out, of {','.join(_KINDS)}.  [default: all that the server can do, without embed]",
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    type=_options.TEXT,
    metavar="[FEATURE=]NAME",
    help="The model of a feature. Repeatable.  [default: of those that are ready, the one with the most labels]",
)
@click.option("--min-score", type=float, help="Show only what has at least this score.")
@click.option(
    "--draw", type=click.Path(path_type=Path), metavar="FILE", help="Draw what was found; a folder for several files."
)
@_options.json_option
@_options.connection_options
def see(
    connection: _options.Connection,
    files: tuple[str, ...],
    features: str | None,
    models: tuple[str, ...],
    min_score: float | None,
    draw: Path | None,
    as_json: bool,
) -> int:
    """Tell what each of FILES shows: labels, objects, faces, text; - is standard input.

    JPEG, PNG, WebP, GIF, BMP and TIFF are read. Places are in pixels of the upright image; with --json, an object on a
    line for each file, as fractions of its width and height.
    """
    checked_files(files)
    names = _names(features)
    chosen = _models(models, names or list(_ALL))
    drawn = DrawnFiles(draw, files) if draw else None
    failed = False
    with connection.client() as client:
        asked = _features(client, names, chosen, min_score)
        for name in files:
            try:
                analysis = client.vision.analyze(read_image(name), asked)
            except InvalidArgumentError as error:  # this image's fault; the next one may do
                failed = True
                tell(f"{name}: {describe(error, connection.target)}")
                continue
            except (TypeError, ValueError) as error:
                raise click.UsageError(str(error)) from error
            _show(name, analysis, as_json)
            failed |= _report_failed(name, analysis, connection.target)
            if drawn is not None:
                click.echo(f"drawn: {drawn.save(name, analysis)}", err=True)
    return 1 if failed else 0


def _show(name: str, analysis: ImageAnalysis, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(analysis_json(name, analysis)))
    else:
        print_analysis(name, analysis)


def _report_failed(name: str, analysis: ImageAnalysis, target: str) -> bool:
    for result in analysis.failed:
        assert result.error is not None, "it is among those that failed"
        feature = next(key for key, kind in _KINDS.items() if isinstance(result.feature, kind))
        tell(f"{name}: {feature}: {describe(result.error, target)}")
    return bool(analysis.failed)


def _names(features: str | None) -> list[str]:
    """Returns the features that were named, none where none was."""
    names = [name.strip() for name in features.split(",")] if features is not None else []
    for name in names:
        if name not in _KINDS:
            raise click.UsageError(f"there is no feature {name!r}; there are {', '.join(_KINDS)}")
    return names


def _models(given: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Returns the model of each feature for which one was named."""
    chosen: dict[str, str] = {}
    for entry in given:
        feature, separator, model = entry.partition("=")
        if not separator:
            if len(names) != 1:
                raise click.UsageError(f"say which feature {entry!r} is for, such as --model {names[0]}={entry}")
            feature, model = names[0], entry
        if feature not in names:
            raise click.UsageError(f"--model {entry}: {feature!r} is not among the features {', '.join(names)}")
        if not model:
            raise click.UsageError(f"--model {entry}: the name is missing")
        chosen[feature] = model
    return chosen


def _features(client: Client, names: Sequence[str], chosen: dict[str, str], min_score: float | None) -> list[Feature]:
    """Returns what to ask, each with its model. Without names: all for which the server has a model."""
    wanted = names or _ALL
    served = client.models.list() if any(name not in chosen for name in wanted) else []
    asked: list[Feature] = []
    for name in wanted:
        model = chosen.get(name) or _served_model(served, name, is_required=bool(names))
        if model is None:
            continue
        feature = _KINDS[name](model=model)
        if min_score is not None and not isinstance(feature, EmbedImage):
            feature = replace(feature, min_score=min_score)
        asked.append(feature)
    if not asked:
        raise click.ClickException("the server has no model that looks at images and is ready; see `trivium status`")
    return asked


def _served_model(models: Sequence[Model], name: str, *, is_required: bool) -> str | None:
    """Returns the model of a feature for which none was named.

    Of several that are ready it is the one with the most labels, which knows photos rather than one kind of picture,
    and of equals the first by name; then it is told.
    """
    capability = CAPABILITIES[_KINDS[name]]
    able = [model for model in models if capability in model.capabilities]
    ready = sorted((model for model in able if model.is_ready), key=lambda model: (-len(model.labels), model.name))
    if not ready and not is_required:
        return None
    if len(ready) > 1:
        best, *others = map(_with_labels, ready)
        tell(f"{name}: taking {best}; --model {name}=NAME takes another: {', '.join(others)}")
    try:
        return choose_model(ready[:1] or able, capability)
    except ModelNotChosen as error:
        raise click.ClickException(f"{name}: {error.message}") from error


def _with_labels(model: Model) -> str:
    return f"{model.name} ({len(model.labels)} labels)" if model.labels else model.name
