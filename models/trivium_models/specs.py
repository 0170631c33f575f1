"""What a user may write for a model: the forms, the names, and what to say when it is none of them."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from trivium_models.catalog import Catalog, unknown_model
from trivium_models.errors import UnknownModelError, UsageError

if TYPE_CHECKING:
    from trivium_models.recipes import Recipe

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def read_spec(spec: str, name: str | None, catalog: Catalog) -> "Recipe":
    """The way to make the model that a user asks for; nothing is fetched yet.

    spec: a name of the catalogue, "hf:owner/name[/folder][@revision]", a model folder, or a .gguf file. name: under
    which to install it, where it was chosen. Raises UsageError; UnknownModelError for a name that is not in the
    catalogue.
    """
    # Here, because the sources take most of a second to import, and listing models needs none of them.
    from trivium_models.catalog_recipe import CatalogRecipe
    from trivium_models.recipes import FolderRecipe, GgufRecipe, HubRecipe
    from trivium_models.sources.hub import HubSource

    if spec.startswith("hf:"):
        hub = HubSource.parse(spec)
        default = hub.folder or hub.repository
        return HubRecipe(name=_name_for(name, default), hub=hub)
    if spec.endswith(".gguf") or "/" in spec or os.sep in spec or spec in (".", ".."):
        path = _existing(spec)
        if path.is_dir():
            source = f"folder: {path.name}"
            return FolderRecipe(name=_name_for(name, path.name), folder=path, root=path, source=source)
        return GgufRecipe(name=_name_for(name, path.stem), path=path)
    entry = catalog.find(spec)
    if entry is None:
        unknown = unknown_model(spec, catalog.names(), "the catalogue")
        stop = "" if str(unknown).endswith("?") else "."
        raise UnknownModelError(f"{unknown}{stop} {_other_forms(spec)}", near=unknown.near)
    return CatalogRecipe(name=valid_name(name) if name is not None else spec, entry=entry)


def valid_name(name: str) -> str:
    """The name itself; UsageError when a model cannot have it."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a model name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return name


def _existing(spec: str) -> Path:
    """A path that the user wrote, with links followed; UsageError unless it is a folder or a regular file."""
    try:
        path = Path(spec).expanduser().resolve(strict=True)
    except FileNotFoundError as error:
        raise UsageError(f"{spec} does not exist. {_other_forms(spec)}") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{spec!r} cannot be used: {reason}") from error
    if not path.is_dir() and not path.is_file():
        raise UsageError(f"{spec} is neither a folder nor a regular file")
    return path


def _other_forms(spec: str) -> str:
    """What to write for a model that is not in the catalogue; sharper where the spec shows what was meant."""
    if re.fullmatch(r"\w[\w.-]*/[\w.-]+", spec) and not spec.endswith(".gguf"):
        return f"If it is a Hugging Face repository, write hf:{spec}"
    if re.fullmatch(r"[\w.-]+", spec) and Path(spec).is_dir():
        return f"For the folder of that name here, write ./{spec}"
    return "Other models: hf:OWNER/REPO, ./FOLDER or ./FILE.gguf"


def _name_for(chosen: str | None, default: str) -> str:
    return valid_name(chosen if chosen is not None else default.rsplit("/", 1)[-1].lower())
