"""VGG16's layers are torchvision's."""

import torch
from torchvision.models import vgg16

from encoder_service.models.vgg16 import build


def test_the_network_is_torchvisions_features_averaged() -> None:
    torch.manual_seed(0)
    reference = vgg16(weights=None).features.eval()
    tensors = {f"features.{name}": value for name, value in reference.state_dict().items()}
    photos = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = reference(photos).mean(dim=(2, 3))
        assert torch.equal(build(tensors)(photos), expected)
