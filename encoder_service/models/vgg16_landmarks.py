"""`vgg16_landmarks`: VGG16 with transfer learning, in two branches, trained and untrained.

How it was trained: `weights/landmarks_weights/vgg16_landmarks.md`.
"""

from __future__ import annotations

from encoder_service.models import vgg16
from encoder_service.models.fine_tuned import trained_from
from encoder_service.models.shipped_weights import shipped

MODEL = trained_from(vgg16.MODEL, "vgg16_landmarks", shipped("vgg16_landmarks.safetensors"))
