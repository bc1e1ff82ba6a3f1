"""`vgg16_landmarks`: VGG16 with transfer learning, the untrained layers beside the trained ones.

How it was trained: `weights/vgg16_landmarks.md`.
"""

from __future__ import annotations

from encoder_service.models import vgg16
from encoder_service.models.fine_tuned import trained_from
from encoder_service.models.weight_overlay import COMMITTED

MODEL = trained_from(vgg16.MODEL, "vgg16_landmarks", COMMITTED / "vgg16_landmarks.safetensors")
