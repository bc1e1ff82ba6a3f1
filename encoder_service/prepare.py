"""`python -m encoder_service.prepare MODEL…`: export models to ONNX ahead of time."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from encoder_service.loader import load_encoder
from encoder_service.settings import EncoderSettings
from landmarks.errors import LandmarksError


def main(models: Sequence[str]) -> int:
    """Export `models`, or those of LANDMARKS_MODELS; return the exit status."""
    try:
        settings = EncoderSettings.load()
        for model in models or settings.models:
            encoder = load_encoder(model, settings)
            sys.stderr.write(f"{model}: {encoder.plan}\n")
    except LandmarksError as error:
        sys.stderr.write(f"encoder_service.prepare: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
