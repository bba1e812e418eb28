"""Loss weights computed from the gradients at the start of a size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from style_transfer.backends import value_and_grad
from style_transfer.images import resize_image
from style_transfer.objective import LossWeights, loss_stages, make_loss_weights
from style_transfer.settings import Settings
from style_transfer.targets import Targets

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor

PERTURBATION = 32.0  # standard deviation, in pixel values, of the noise added before measuring
GRAIN = 4  # width of the noise's grains, in pixels


def balanced_loss_weights(
    network: FeatureExtractor, targets: Targets, settings: Settings
) -> LossWeights:
    """Loss weights that give each part's gradient the norm that the settings ask for.

    This way every picture, size and network starts with the same balance (Risser et al., arXiv
    1701.08893, section 4.5, who measure the gradients at every step). The gradients are measured at
    the content image with soft noise added, because the content loss has no gradient at the content
    image itself.

    Args:
        network: as for `make_objective`.
        targets: likewise.
        settings: likewise; its loss weights are the norms.

    Returns:
        Loss weights by part, named as in `make_loss_weights`.
    """
    image = under_soft_noise(targets.images[0], settings.seed)
    names = [name for name, weight in make_loss_weights(settings).items() if weight]
    slopes = value_and_grad(*loss_stages(network, targets, settings, partial(_chosen, names)))

    def norm_of(name: str) -> float:
        chosen = np.eye(len(names), dtype=np.float32)[names.index(name)]
        return float(np.linalg.norm(slopes(image, chosen)[1].astype(np.float64)))

    return balanced_by_norms(settings, norm_of)


def balanced_by_norms(settings: Settings, norm_of: Callable[[str], float]) -> LossWeights:
    """The settings' loss weights divided by the norms of the parts' gradients, by part.

    Args:
        settings: its loss weights are the norms to reach.
        norm_of: takes a part's name and returns the norm of its unweighted gradient; called only
            for parts whose loss weight is not 0.
    """
    weights = make_loss_weights(settings)
    for name, weight in weights.items():
        if weight:  # a part whose gradient is 0 (a flat picture's, say) keeps its loss weight
            weights[name] = weight / (norm_of(name) or 1)
    return weights


def _chosen(names: list[str], parts: dict, chosen):
    """Parts of the loss in the order of `names`, each times its entry in `chosen`: 1 or 0."""
    nothing = ops.zeros((), "float32")
    return ops.stack([parts.get(name, nothing) for name in names]) * chosen


def under_soft_noise(image: np.ndarray, seed: int) -> np.ndarray:
    """An image, (1, H, W, 3), plus Gaussian noise with grains about 4 pixels wide."""
    rows, columns = image.shape[1:3]
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, PERTURBATION, (1, rows // GRAIN + 1, columns // GRAIN + 1, 3))
    return image + resize_image(noise.astype(np.float32), (rows, columns))
