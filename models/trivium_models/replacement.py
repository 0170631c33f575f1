"""Puts a model folder in the place of an older one, so that a kill at any moment leaves one of the two.

    <store>/<name>    -> <store>/.replaced/<name>    the old folder, whole, until the new one is in its place
    <staging>/model   -> <store>/<name>
    <store>/.replaced/<name> -> <staging>/replaced   from where it is deleted

After a kill between the steps, `settle` ends what was begun. Every function wants the model's lock held; `trash` is a
path on the same disk that does not exist, for a folder that the caller then deletes.
"""

import os
from pathlib import Path

_KEPT = ".replaced"


def put_in_place(store: Path, name: str, new: Path, *, trash: Path) -> None:
    """Makes `new` the model `name`; whatever interrupts it, the store has the old model or the new one."""
    target, kept = store / name, store / _KEPT / name
    kept.parent.mkdir(exist_ok=True)
    try:
        if os.path.lexists(target):
            target.rename(kept)
        new.rename(target)
    finally:
        settle(store, name, trash=trash)


def settle(store: Path, name: str, *, trash: Path) -> None:
    """Ends a replacement that was cut off: the old model comes back unless the new one is in its place."""
    target, kept = store / name, store / _KEPT / name
    if not os.path.lexists(kept):
        return
    if os.path.lexists(target):
        kept.rename(trash)
    else:
        kept.rename(target)


def unsettled(store: Path) -> list[str]:
    """Names of models whose replacement is under way or was cut off; empty where that cannot be told."""
    try:
        return sorted(path.name for path in (store / _KEPT).iterdir())
    except OSError:
        return []
