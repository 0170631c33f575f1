"""Writes settings as a TOML file that `load_config` reads back."""

import json

from trivium_server.config.load import settings
from trivium_server.config.tree import Config


def as_toml(config: Config) -> str:
    """Returns every setting with what it means and what it may be.

    What is not set is a comment, and so is a default that was worked out for this machine or user: the file may be
    meant for another.
    """
    lines: list[str] = []
    section = ""
    for setting in settings():
        here, name = setting.key.split(".")
        if here != section:
            lines += [""] * bool(section) + [f"[{here}]"]
            section = here
        value = getattr(getattr(config, here), name)
        is_set = value is not None or setting.key == "models.load"
        is_worked_out = setting.is_computed and value == setting.default
        lines.append(f"# {setting.about} Allowed: {setting.kind.allowed}. Environment: {setting.env_name}")
        lines.append("# " * (is_worked_out or not is_set) + f"{name} = {toml_value(value) if is_set else ''}".rstrip())
    return "\n".join(lines)


def toml_value(value: object) -> str:
    """Returns one value as TOML. None is the `all` of models.load."""
    if value is None:
        return '"all"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return json.dumps(list(value)) if value else '"none"'
    return json.dumps(str(value))
