"""Both overlays, each built once."""

import pytest

from tests.deploy.manifests import OVERLAYS, Overlay


@pytest.fixture(scope="session", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Overlay:
    return Overlay.build(request.param)
