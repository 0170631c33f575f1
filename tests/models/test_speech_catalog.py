"""The catalogue's models that hear and speak are installed as their cards say."""

import pytest

from trivium_models.catalog import load_catalog
from trivium_models.store import Store

NAMES = {
    "moonshine-tiny-en": ("recognize_speech", ("en",)),
    "silero-vad": ("detect_voice_activity", ()),
    "hibari-heart": ("synthesize_speech", ("en-US",)),
}


@pytest.mark.parametrize("name", NAMES)
def test_model_is_installed_as_its_card_says(name: str) -> None:
    model, entry = Store().pull(name), load_catalog().get(name)
    assert model.manifest is not None
    card = model.manifest.card
    assert (card.task, card.language_codes) == NAMES[name]
    assert card.architecture == "speech"
    assert card.good_at
    assert card.bad_at
    assert any(file.path.startswith("LICENSE") for file in model.manifest.files)
    assert Store().verify(name).problems == ()
    assert model.manifest.size_bytes == pytest.approx(entry.installed_size_bytes, rel=0.02)
