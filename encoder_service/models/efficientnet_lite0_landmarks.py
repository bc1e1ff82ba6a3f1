"""`efficientnet_lite0_landmarks`: EfficientNet-Lite0 with transfer learning; the default to serve.

How it was trained: `weights/efficientnet_lite0_landmarks.md`.
"""

from __future__ import annotations

from encoder_service.models import efficientnet_lite0
from encoder_service.models.fine_tuned import trained_from
from encoder_service.models.weight_overlay import COMMITTED

MODEL = trained_from(
    efficientnet_lite0.MODEL,
    "efficientnet_lite0_landmarks",
    COMMITTED / "efficientnet_lite0_landmarks.safetensors",
)
