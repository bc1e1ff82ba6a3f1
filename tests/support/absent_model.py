"""An encoder whose weights cannot be had: nothing listens where they would come from."""

from dataclasses import replace

from encoder_service.models.weight_sources import FetchedWeights, UrlSource
from tests.support.toy_encoder import MODEL as TOY

MODEL = replace(
    TOY,
    name="absent",
    weights=FetchedWeights(
        name="absent",
        digest="ab" * 32,
        bytes=1,
        sources=(UrlSource("http://127.0.0.1:9/weights.safetensors"),),
    ),
)
