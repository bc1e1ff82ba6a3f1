"""`efficientnet_lite0_landmarks`: EfficientNet-Lite0 with transfer learning; the default model.

How it was trained: `weights/landmarks_weights/efficientnet_lite0_landmarks.md`.
"""

from __future__ import annotations

from encoder_service.models import efficientnet_lite0
from encoder_service.models.fine_tuned import trained_from
from encoder_service.models.shipped_weights import shipped

MODEL = trained_from(
    efficientnet_lite0.MODEL,
    "efficientnet_lite0_landmarks",
    shipped("efficientnet_lite0_landmarks.safetensors"),
)
