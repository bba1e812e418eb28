"""Terms times weights, compiled to one function that returns loss and gradient."""

import hashlib
from collections.abc import Callable

import numpy as np
from keras import ops

import losses
from autodiff import value_and_grad, with_gradient
from network import FeatureExtractor
from preprocessing import resize_image
from settings import Settings, parse_blend, parse_layers, style_parts

# The order of an objective's terms; the loss is their sum.
TERMS = ("content", "style", "total_variation")
PERTURBATION = 32.0  # deviation in pixel values of the noise under which gradients are compared


def make_objective(
    extractor: FeatureExtractor,
    content: np.ndarray,
    styles: list[np.ndarray],
    settings: Settings,
    masks: list[dict] | None = None,
    weights: dict[str, float] | None = None,
    kept: dict | None = None,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The loss of a combination image and its gradient, at one size.

    Args:
        extractor: the network, giving features for all layers that `settings` names.
        content: the content image, float32 (1, H, W, 3), BGR minus mean.
        styles: style images likewise, of any size; with `targets="batch"` of the content's.
        settings: weights, layers, losses, their scale and the shape of the computation (`targets`).
        masks: regions of the content image, then of each style image: {colour: bool (H, W)}. The
            style loss is then taken region by region.
        weights: of the parts of the loss, instead of `part_weights(settings)`.
        kept: where features of content and style images stay, for calls with the same dict.

    Returns:
        A function from the combination image, float32 (1, H, W, 3), to (terms, gradient):
        float32 (3,), weighted, in the order of `TERMS`, and float32 (1, H, W, 3).
    """
    weights = weights or part_weights(settings)

    def terms(parts: dict):
        sums = dict.fromkeys(TERMS, ops.zeros(()))
        for name, value in parts.items():
            term = term_of(name)
            sums[term] = sums[term] + weights[name] * value  # += is in place in PyTorch
        return ops.stack(list(sums.values()))

    about = extractor, content, styles, settings, masks, kept
    return value_and_grad(*loss_stages(*about, terms))


def part_weights(settings: Settings) -> dict[str, float]:
    """What each part of the loss is multiplied by, by its name: `gram block1_conv1`, …"""
    weights = {
        f"content {layer}": settings.content_weight * weight
        for layer, weight in parse_layers(settings, "content_layers").items()
    }
    for kind, layers in style_parts(settings).items():
        for layer, weight in layers.items():
            weights[f"{kind} {layer}"] = settings.style_weight * weight
    return weights | {"total_variation": settings.tv_weight}


def term_of(part: str) -> str:
    """The term of the loss, one of `TERMS`, that a part counts to."""
    kind = part.split()[0]
    return kind if kind in TERMS else "style"


def balanced_weights(
    extractor: FeatureExtractor,
    content: np.ndarray,
    styles: list[np.ndarray],
    settings: Settings,
    masks: list[dict] | None = None,
    kept: dict | None = None,
) -> dict[str, float]:
    """Weights with which each part's gradient has the norm that `part_weights` says.

    So every picture, size and network starts with the same balance (Risser et al., arXiv
    1701.08893, section 4.5, who measure the gradients at every step). Measured at the content image
    under soft noise, since the content loss has no slope at the content image itself.

    Arguments are those of `make_objective`; returns weights by part.
    """
    image = under_soft_noise(content, settings.seed)
    weights = part_weights(settings)
    names = [name for name, weight in weights.items() if weight]

    def chosen_parts(parts: dict, chosen):
        return ops.stack([parts.get(name, ops.zeros(())) for name in names]) * chosen

    about = extractor, content, styles, settings, masks, kept
    slopes = value_and_grad(*loss_stages(*about, chosen_parts))
    for name, chosen in zip(names, np.eye(len(names), dtype=np.float32), strict=True):
        norm = np.linalg.norm(slopes(image, chosen)[1].astype(np.float64))
        # A part without any slope here (a flat picture's, say) keeps its weight.
        weights[name] /= norm or 1
    return weights


def under_soft_noise(image: np.ndarray, seed: int) -> np.ndarray:
    """An image (1, H, W, 3) plus Gaussian noise whose grains are about 4 pixels wide."""
    rows, columns = image.shape[1:3]
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, PERTURBATION, (1, rows // 4 + 1, columns // 4 + 1, 3))
    return image + resize_image(noise.astype(np.float32), (rows, columns))


def loss_stages(
    extractor: FeatureExtractor,
    content: np.ndarray,
    styles: list[np.ndarray],
    settings: Settings,
    masks: list[dict] | None,
    kept: dict | None,
    vector: Callable,
) -> tuple[Callable, list]:
    """The parts of the loss layer by layer, as `value_and_grad` takes them.

    Arguments are those of `make_objective`, and `vector`: from some parts, unweighted, {name:
    scalar}, and what others an evaluation gets, to a vector. Names are those of `part_weights`,
    without parts of weight 0.
    """
    weights = part_weights(settings)
    size = content.shape[1:3]
    content_layers = parse_layers(settings, "content_layers") if settings.content_weight else {}
    style_layers = style_parts(settings) if settings.style_weight else {}
    blend = parse_blend(settings.style_blend, len(styles))
    regions = list(masks[0]) if masks else [None]

    def targets_of(style: int, features_of: Callable) -> dict:
        """What the parts of the style loss compare with, by (region, kind, layer)."""
        targets = {}
        for region in regions:
            mask = None
            if region is not None:
                mask = masks[1 + style].get(region)
                if mask is None:
                    continue
            for layer, features in features_of(mask):
                inside = within(features, mask)
                for kind, layers in style_layers.items():
                    if layer in layers and inside is not None:
                        targets[region, kind, layer] = TARGETS[kind](inside)
        return targets

    def fixed_features(image: np.ndarray, mask: np.ndarray | None = None):
        visible = masked(ops.convert_to_tensor(image), mask)
        if kept is None:
            return extractor.one_by_one(visible)
        key = id(extractor), digest(image), digest(mask)
        if key not in kept:
            kept[key] = list(extractor.one_by_one(visible))
        return kept[key]

    # Rows 0, 1, … of the original's batch never change, so their features can be kept.
    if settings.targets == "cached":
        kept_content = {
            layer: features
            for layer, features in fixed_features(content)
            if layer in content_layers
        }
        kept_styles = [
            targets_of(style, lambda mask, image=image: fixed_features(image, mask))
            for style, image in enumerate(styles)
        ]
    else:
        pictures = [ops.convert_to_tensor(image) for image in (content, *styles)]

    def content_part(features, target):
        factor = losses.content_factor(settings.loss_scale, target, len(content_layers))
        return factor * losses.squared_error(features, target)

    def style_part(kind: str, layer: str, features, targets_by_style: list[dict]):
        loss = 0.0
        for region in regions:
            mask = None if region is None else masks[0][region]
            share = 1.0 if mask is None else mask.mean()
            inside = within(features, mask)
            able = [i for i in range(len(styles)) if region is None or region in masks[1 + i]]
            for style in able:
                target = targets_by_style[style].get((region, kind, layer))
                if inside is None or target is None:
                    continue  # a region too small for this layer
                part = share * blend[style] / sum(blend[i] for i in able)
                layers = len(style_layers[kind])
                loss += part * PARTS[kind](inside, target, settings.loss_scale, size, layers)
        return loss

    def parts_of(layer: str, features) -> dict:
        features = ops.cast(features, "float32")
        if settings.targets == "batch":
            content_row, *style_rows, features = ops.split(features, len(pictures) + 1)
            content_targets = {layer: content_row}
            style_targets = [
                targets_of(style, lambda mask, row=row: [(layer, row)])
                for style, row in enumerate(style_rows)
            ]
        else:
            content_targets, style_targets = kept_content, kept_styles

        def seen_by(part: str):
            if settings.normalize_gradients:
                return with_unit_gradient(features, weights[part])
            return features

        parts = {}
        if layer in content_layers:
            name = f"content {layer}"
            parts[name] = content_part(seen_by(name), content_targets[layer])
        for kind, layers in style_layers.items():
            if layer in layers:
                name = f"{kind} {layer}"
                parts[name] = style_part(kind, layer, seen_by(name), style_targets)
        return parts

    def variation(image, *others):
        part = losses.total_variation_loss(settings.loss_scale, image)
        return vector({"total_variation": part}, *others)

    def stage(layer: str, function: Callable) -> tuple[Callable, Callable]:
        return function, lambda features, *others: vector(parts_of(layer, features), *others)

    stages = [stage(layer, function) for layer, function in extractor.stages.items()]
    if settings.targets == "batch":
        (first, terms), *others = stages
        stages = [(lambda x: first(ops.concatenate([*pictures, x], axis=0)), terms), *others]
    return variation, stages


def unit_gradient(gradient, weight):
    """weight · g / Σ|g|, as in the "normalize gradients" of Johnson's neural-style.

    Each layer then pulls as hard as its weight says, however large its loss. The picture no longer
    follows the gradient of any loss.
    """
    return weight * gradient / (ops.sum(ops.abs(gradient)) + losses.EPSILON)


# Features unchanged, but the gradient that comes back to them becomes its `unit_gradient`.
with_unit_gradient = with_gradient(lambda features, weight: ops.copy(features), unit_gradient)


def positions(features) -> int:
    """M = H·W of features (1, H, W, N)."""
    return features.shape[1] * features.shape[2]


def mean_gram(features):
    """The Gram matrix divided by M, comparable between pictures of different sizes."""
    return losses.gram_matrix(features) / positions(features)


def gram_part(features, target, scale: str, size: tuple[int, int], layers: int):
    """The Gram loss of one layer; `target` is the style's `mean_gram`."""
    # The style image may have another size: its Gram matrix at this one's positions.
    target = target * positions(features)
    factor = losses.style_factor(scale, target, size, positions(features), layers)
    return factor * losses.squared_error(losses.gram_matrix(features), target)


def moments_part(features, target, scale: str, size, layers: int):
    """Mean and variance of each channel, by their targets' energy in `relative`."""
    mean, covariance = losses.moments(features)
    variance = ops.diagonal(covariance)
    target_mean, target_variance = target[0], ops.diagonal(target[1])
    error = losses.squared_error(mean, target_mean)
    spread = losses.squared_error(variance, target_variance)
    if scale == "relative":
        error /= ops.sum(ops.square(target_mean)) + losses.EPSILON
        spread /= ops.sum(ops.square(target_variance)) + losses.EPSILON
    return error + spread


def histogram_part(features, target, scale: str, size, layers: int):
    """Σ(O − R(O))², in `relative` by the energy of the style's features at as many positions."""
    table, energy = target
    error = losses.squared_error(features, losses.histogram_match(features, table))
    if scale == "relative":
        error /= positions(features) * energy + losses.EPSILON
    return error


def wasserstein_part(features, target, scale: str, size, layers: int):
    """The Wasserstein-2 distance, in `relative` by the energy of the style's features."""
    mean, root = target
    distance = losses.wasserstein(features, mean, root)
    if scale == "relative":
        distance /= ops.sum(ops.square(mean)) + ops.sum(ops.square(root)) + losses.EPSILON
    return distance


def distribution(features):
    """Quantiles of each channel, and the energy at a position, what `histogram_part` needs."""
    energy = ops.sum(ops.square(features)) / positions(features)
    return losses.quantiles(features), energy


def gaussian(features):
    """Mean and square root of the covariance, what `wasserstein_part` compares with."""
    mean, covariance = losses.moments(features)
    return mean, losses.square_root(covariance)


# By kind of style loss: what is kept of the style's features, and the loss of one layer.
TARGETS = {
    "gram": mean_gram,
    "moments": losses.moments,
    "histogram": distribution,
    "wasserstein": gaussian,
}
PARTS = {
    "gram": gram_part,
    "moments": moments_part,
    "histogram": histogram_part,
    "wasserstein": wasserstein_part,
}


def digest(array: np.ndarray | None) -> tuple:
    """What tells one array from others: its shape and a checksum of its bytes."""
    if array is None:
        return ()
    return *array.shape, hashlib.sha256(array.tobytes()).digest()


def masked(image, mask: np.ndarray | None):
    """An image with zeros, the mean colour, outside a region: nothing of other regions leaks in."""
    if mask is None:
        return image
    return image * ops.convert_to_tensor(mask[None, :, :, None].astype(np.float32))


def within(features, mask: np.ndarray | None):
    """Features at the positions of a region as (1, M', 1, N); None where it has none.

    Args:
        features: (1, h, w, N).
        mask: bool (H, W) at the image's size, carried to (h, w) by nearest neighbour.
    """
    if mask is None:
        return features
    rows, columns = features.shape[1:3]
    row = (np.arange(rows) * 2 + 1) * mask.shape[0] // (2 * rows)
    column = (np.arange(columns) * 2 + 1) * mask.shape[1] // (2 * columns)
    places = np.flatnonzero(mask[np.ix_(row, column)])
    if len(places) == 0:
        return None
    return ops.take(losses.flat(features), places, axis=0)[None, :, None, :]
