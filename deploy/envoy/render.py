"""Makes the text of a bootstrap from its options, the contract and the template."""

import json
from pathlib import Path

import jinja2

from deploy.envoy import contract
from deploy.envoy.options import Bootstrap

__all__ = ["render"]

_TEMPLATE = Path(__file__).with_name("envoy.yaml.j2")


def render(bootstrap: Bootstrap) -> str:
    """Returns a bootstrap as YAML, for Envoy's `--config-path`. It names no file but certificates."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # YAML: every text that is given goes through `quoted`
    )
    environment.filters["quoted"] = json.dumps
    environment.filters["seconds"] = _seconds
    template = environment.from_string(_TEMPLATE.read_text())
    return template.render(
        options=bootstrap,
        services=contract.services(),
        admin_package=contract.ADMIN_PACKAGE,
        descriptor_set=contract.descriptor_set(),
    )


def _seconds(value: float) -> str:
    """As Protobuf writes a duration."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"
