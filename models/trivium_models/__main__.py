"""`python -m trivium_models`: the same commands as `trivium models`."""

from trivium_models.cli import models

models(prog_name="python -m trivium_models")
