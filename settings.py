"""Every choice a user can make, in one frozen dataclass, and the published systems as named settings.

Nothing heavy is imported here, so that `--help` and a mistyped option answer at once. Each field
of `Settings` is one command-line option and one keyword of `transfer`; its help text stands beside it.
"""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

# Convolutions in each block: Simonyan and Zisserman, arXiv 1409.1556, table 1, columns D and E.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
STYLE_LAYERS = "block1_conv1,block2_conv1,block3_conv1,block4_conv1,block5_conv1"


class InputError(ValueError):
    """A choice or a file of the user's that cannot be used. The message is written for them."""


def layer_names(network: str) -> list[str]:
    """Names of the network's convolutions as in keras.applications, from the picture inwards."""
    return [
        f"block{block}_conv{number}"
        for block, count in enumerate(CONVOLUTIONS[network], start=1)
        for number in range(1, count + 1)
    ]


def choice(default, group: str, text: str, values: tuple = ()):
    """A field of `Settings` with the help text and the admissible values of its option."""
    return field(default=default, metadata={"group": group, "help": text, "values": values})


@dataclass(frozen=True)
class Settings:
    """All choices of one run. Defaults are the preset `default`.

    Raises:
        InputError: on construction, where a value is outside what its field admits.
    """

    height: int = choice(
        400, "picture", "rows of the result; the width follows the content picture's aspect"
    )
    width: int = choice(
        0, "picture", "columns of the result, where they are not to follow the content (0: follow)"
    )
    init: str = choice(
        "content",
        "picture",
        "start from: content, noise, mixed (half of each), gray, or the path of a picture",
    )
    seed: int = choice(0, "picture", "seed of the noise start and of fitted and random filters")
    resize: str = choice(
        "lanczos",
        "picture",
        "resampling of the input pictures (nearest: as the original)",
        ("lanczos", "bicubic", "nearest"),
    )
    output: str = choice(
        "png",
        "picture",
        "format of the pictures written: PNG of 8 or 16 bits a channel, or TIFF of 16 (.tif)",
        ("png", "png16", "tiff16"),
    )

    iter: int = choice(4, "optimisation", "iterations; a picture is saved after each")
    evaluations: int = choice(20, "optimisation", "evaluations of loss and gradient per iteration")
    scales: str = choice(
        "auto",
        "optimisation",
        "coarse to fine: sizes as fractions of the height, each with its share of the iterations, "
        "0.25:3,0.5:2,1:2; auto: in steps of 1.75 from 140 rows or more",
    )
    optimizer: str = choice("lbfgs", "optimisation", "what minimises the loss", ("lbfgs", "adam"))
    clip: bool = choice(
        False, "optimisation", "keep pixel values within 0..255 (L-BFGS: needs --precondition 0)"
    )
    learning_rate: float = choice(2.0, "optimisation", "step of Adam, in pixel values 0..255")
    restarts: bool = choice(
        False, "optimisation", "forget L-BFGS's memory at every iteration, as the original did"
    )

    precondition: float = choice(
        0.25,
        "optimisation",
        "L-BFGS moves frequencies f of the picture by f^-X: large shapes first (0: pixels)",
    )

    content_weight: float = choice(0.025, "loss", "weight of the content loss")
    style_weight: float = choice(1.0, "loss", "weight of the style loss")
    tv_weight: float = choice(1.0, "loss", "weight of the total variation loss")
    auto_weights: bool = choice(
        False,
        "loss",
        "the weights say shares of the gradient, measured at the start of each size, instead "
        "(content 0.06, style 1, total variation 0.003 unless given)",
    )
    normalize_gradients: bool = choice(
        False,
        "loss",
        "what each layer's loss sends back gets absolute values that sum to the layer's weight, "
        "however large the loss (needs --optimizer adam)",
    )
    content_layers: str = choice(
        "block4_conv2", "loss", "layers of the content loss, block4_conv2 or block4_conv2:0.5"
    )
    style_layers: str = choice(STYLE_LAYERS, "loss", "layers of the style loss, likewise")
    loss_scale: str = choice(
        "relative",
        "loss",
        "how terms are normalised: by their target's energy, or as in the original",
        ("relative", "keras", "gatys", "matconvnet", "pytorch"),
    )
    style_loss: str = choice(
        "gram",
        "loss",
        "what is compared of the style's features",
        ("gram", "histogram", "gram+histogram", "wasserstein", "moments"),
    )
    histogram_layers: str = choice(
        "block4_conv1,block1_conv1", "loss", "layers of the histogram loss"
    )
    histogram_weight: float = choice(
        1.0, "loss", "weight of the histogram loss relative to the rest of the style loss"
    )
    content_mask: str = choice(
        "", "loss", "index picture, each colour a region, painted in the manner of its own region"
    )
    style_mask: str = choice(
        "", "loss", "index pictures of the style pictures, one each, comma between them"
    )
    preserve_color: str = choice(
        "none",
        "picture",
        "keep the content's colours: only the result's luminance, or match the style's to them",
        ("none", "luminance", "match"),
    )
    style_blend: str = choice(
        "", "loss", "weights of several style pictures, 0.7,0.3 (default: equal)"
    )
    style_scale: float = choice(
        1.0, "loss", "size of the style pictures relative to the result; larger strokes above 1"
    )
    style_fit: str = choice(
        "aspect",
        "loss",
        "style pictures keep their aspect, or are stretched to the result's size (the original)",
        ("aspect", "stretch"),
    )

    network: str = choice("vgg19", "network", "the feature extractor", ("vgg16", "vgg19"))
    weights: str = choice(
        "auto",
        "network",
        "filters: auto, imagenet, fitted, random, or the path of a .weights.h5, .h5, .npz, MatConvNet "
        "(.mat) or torchvision (.pth) file",
    )
    normalize_filters: bool = choice(
        False,
        "network",
        "rescale the filters so that each one's mean activation on the pictures at hand is 1, as in "
        "the network of Gatys et al. (CVPR 2016); the preset gatys leaves it off",
    )
    taps: str = choice(
        "relu", "network", "layers are looked at behind their ReLU or before it", ("relu", "conv")
    )
    pooling: str = choice("average", "network", "pooling between blocks", ("average", "max", "l2"))
    borders: str = choice(
        "repeated",
        "network",
        "what the network sees behind the picture's edge: its outermost values repeated, or zeros "
        "(the original), which leave dark or bright edges",
        ("repeated", "zeros"),
    )
    targets: str = choice(
        "cached",
        "network",
        "content and style features computed once, or at every evaluation in one batch of all "
        "pictures (the original; same result, slower)",
        ("cached", "batch"),
    )
    precision: str = choice(
        "auto",
        "network",
        "arithmetic of the network; auto: bfloat16 where the processor has units for it",
        ("auto", "float32", "bfloat16"),
    )

    def __post_init__(self):
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        parse_layers(self, "content_layers")
        parse_layers(self, "style_layers")
        parse_layers(self, "histogram_layers")
        if bool(self.content_mask) != bool(self.style_mask):
            raise InputError(
                "--content_mask, --style_mask: expected both or neither. "
                f"Received: {self.content_mask!r}, {self.style_mask!r}"
            )
        scales_of(self)
        if not (self.content_weight or self.style_weight or self.tv_weight):
            raise InputError(
                "--content_weight, --style_weight, --tv_weight: expected at least one above 0. "
                "Received: 0, 0, 0"
            )
        if self.clip and self.precondition and self.optimizer == "lbfgs":
            raise InputError(
                f"--clip: expected with --precondition 0. Received: {self.precondition:g}"
            )
        if self.normalize_gradients and self.optimizer != "adam":
            raise InputError(
                "--normalize_gradients: expected with --optimizer adam, since L-BFGS needs the "
                f"gradient of its loss. Received: {self.optimizer}"
            )
        if self.normalize_gradients and self.auto_weights:
            raise InputError(
                "--normalize_gradients, --auto_weights: expected one of them. Received: both"
            )
        if self.targets == "batch" and self.style_mask:
            raise InputError("--style_mask: expected with --targets cached. Received: batch")
        if self.targets == "batch" and self.style_scale != 1:
            raise InputError(
                "--style_scale: expected 1 with --targets batch, whose pictures share one size. "
                f"Received: {self.style_scale:g}"
            )


# What a number must be, beyond being one: (smallest, what to say).
_BOUNDS = {
    "height": (16, "a whole number of rows, at least 16"),
    "width": (0, "a whole number of columns, or 0"),
    "iter": (1, "a whole number, at least 1"),
    "evaluations": (1, "a whole number, at least 1"),
    "seed": (0, "a whole number, at least 0"),
    "learning_rate": (1e-9, "a number above 0"),
    "precondition": (0, "a number, at least 0"),
    "content_weight": (0, "a number, at least 0"),
    "style_weight": (0, "a number, at least 0"),
    "tv_weight": (0, "a number, at least 0"),
    "histogram_weight": (0, "a number, at least 0"),
    "style_scale": (0.05, "a number, at least 0.05"),
}


def _checked(item, value):
    """The value of one field in the field's own type, or an InputError naming its option."""

    def refuse(expected: str):
        return InputError(f"--{item.name}: expected {expected}. Received: {value!r}")

    values = item.metadata["values"]
    if values and value not in values:
        raise refuse("one of " + ", ".join(values))
    if item.name not in _BOUNDS:
        if not isinstance(value, item.type):
            raise refuse(f"a value of type {item.type.__name__}")
        return value
    smallest, expected = _BOUNDS[item.name]
    try:
        number = item.type(value)
        exact = math.isfinite(number) and (item.type is float or number == float(value))
    except (TypeError, ValueError, OverflowError):
        raise refuse(expected) from None
    if not exact or number < smallest:
        raise refuse(expected)
    return number


def parse_layers(settings: Settings, name: str) -> dict[str, float]:
    """Layers of one loss with their weights.

    Args:
        settings: the run's settings.
        name: `content_layers` or `style_layers`, text such as `block1_conv1,block2_conv1:0.5`.

    Returns:
        Weight by layer name. A layer without a weight gets 1 / (number of layers), as the
        original's style layers do.

    Raises:
        InputError: an unknown or repeated layer, or a weight that is not a number above 0.
    """
    text = getattr(settings, name)
    known = layer_names(settings.network)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    layers = {}
    for part in parts:
        layer, _, weight = part.partition(":")
        if layer not in known:
            raise InputError(
                f"--{name}: expected layers of {settings.network}, "
                f"{known[0]} to {known[-1]}. Received: {layer!r}"
            )
        if layer in layers:
            raise InputError(f"--{name}: expected each layer once. Received: {layer!r} twice")
        layers[layer] = positive(weight, f"--{name}") if weight else 1 / len(parts)
    if not layers:
        raise InputError(f"--{name}: expected at least one layer. Received: {text!r}")
    return layers


def layers_in_use(settings: Settings) -> list[str]:
    """Names of all layers that a loss looks at, from the picture inwards."""
    layers = set(parse_layers(settings, "content_layers"))
    for part in style_parts(settings).values():
        layers |= set(part)
    return sorted(layers)


def style_parts(settings: Settings) -> dict[str, dict[str, float]]:
    """The parts of the style loss: weight by layer, by what they compare (`gram`, …)."""
    parts = {}
    for kind in settings.style_loss.split("+"):
        parts[kind] = parse_layers(settings, "style_layers")
        if kind == "histogram":
            layers = parse_layers(settings, "histogram_layers")
            parts[kind] = {k: v * settings.histogram_weight for k, v in layers.items()}
    return parts


def parse_scales(text: str) -> list[tuple[float, float]]:
    """Scales from text such as `0.25:1,1:3`: pairs of (fraction of the height, share).

    Raises:
        InputError: fractions that are not increasing, above 1 or not ending at 1.
    """
    pairs = []
    for part in text.split(","):
        fraction, _, share = part.strip().partition(":")
        pairs.append((positive(fraction, "--scales"), positive(share or "1", "--scales")))
    fractions = [fraction for fraction, _ in pairs]
    if fractions != sorted(set(fractions)) or fractions[-1] != 1:
        raise InputError(f"--scales: expected increasing fractions ending in 1. Received: {text!r}")
    return pairs


def scales_of(settings: Settings) -> list[tuple[float, float]]:
    """The scales of a run as `parse_scales` gives them.

    `auto` starts at 140 rows or more: at fewer, fitted filters lose the content (seen from 64, 82
    and 131 rows). The coarsest size, which is cheap and where large strokes form, has 3 shares.
    """
    if settings.scales != "auto":
        return parse_scales(settings.scales)
    fractions = [1.0]
    while settings.height * fractions[0] / 1.75 >= 140:
        fractions.insert(0, fractions[0] / 1.75)
    return [(fraction, 1 if index else 3) for index, fraction in enumerate(fractions)]


def parse_blend(text: str, styles: int) -> list[float]:
    """Weights of the style pictures, scaled to sum 1; equal where `text` is empty.

    Raises:
        InputError: not one weight a picture, or a weight that is not a number above 0.
    """
    if not text:
        return [1 / styles] * styles
    weights = [positive(part, "--style_blend") for part in text.split(",")]
    if len(weights) != styles:
        raise InputError(
            f"--style_blend: expected {styles} weights, one for each style picture. "
            f"Received: {len(weights)} ({text!r})"
        )
    return [weight / sum(weights) for weight in weights]


@dataclass(frozen=True)
class Stretch:
    """One uninterrupted call of the optimiser, at one size."""

    scale: int  # index into the settings' scales
    rows: int
    columns: int
    first_iteration: int
    iterations: int


def plan(settings: Settings, width: int, height: int) -> list[Stretch]:
    """The stretches of a run, coarse to fine; with `restarts`, one an iteration.

    Args:
        settings: `height`, `scales`, `iter`, `restarts` and the layers are used.
        width: columns of the content picture.
        height: its rows.

    Returns:
        The stretches. Scales too small for the deepest layer are left out.

    Raises:
        InputError: full size is too small for the deepest layer.
    """
    deepest = max(layers_in_use(settings))
    smallest = 2 ** (int(deepest[5]) - 1)  # blocks are joined by poolings of 2 x 2
    sizes = []
    for scale, (fraction, share) in enumerate(scales_of(settings)):
        rows = round(settings.height * fraction)
        columns = int(width * rows / height)  # as the original rounds
        if settings.width:
            columns = round(settings.width * fraction)
        if min(rows, columns) >= smallest:
            sizes.append((scale, rows, columns, share))
        elif fraction == 1:
            raise InputError(
                f"--height: expected a picture of at least {smallest} x {smallest} pixels for "
                f"{deepest}. Received: {columns} x {rows}"
            )
    stretches = []
    for (scale, rows, columns, _), count in zip(
        sizes, _apportion(settings.iter, [share for *_, share in sizes]), strict=True
    ):
        each = 1 if settings.restarts else count
        while count:
            first = sum(stretch.iterations for stretch in stretches)
            stretches.append(Stretch(scale, rows, columns, first, each))
            count -= each
    return stretches


def replan(stretches: list[dict], settings: Settings) -> list[dict]:
    """The stretches of a run that goes on with other settings.

    What is done stays. The last stretch grows or shrinks to `settings.iter` iterations in all; with
    `restarts` it is followed by others of one iteration.
    """
    kept, first = [], 0
    for entry in stretches:
        count = min(entry["iterations"], settings.iter - first)
        if count > 0:
            kept.append({**entry, "iterations": count})
        first += max(count, 0)
    last = kept[-1]
    more = settings.iter - first
    if settings.restarts:
        kept += [{**last, "first_iteration": first + i, "iterations": 1} for i in range(more)]
    else:
        last["iterations"] += more
    return kept


def _apportion(total: int, shares: list[float]) -> list[int]:
    """`total` in whole numbers close to `shares`, the last of them at least 1."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], -i))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    if not counts[-1]:
        counts[counts.index(max(counts))] -= 1
        counts[-1] = 1
    return counts


def positive(text: str, option: str) -> float:
    """`text` as a finite number above 0, or an InputError that names `option`."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{option}: expected a number above 0. Received: {text!r}")
    return number


# Keras 1.1 and 2.3, examples/neural_style_transfer.py: what both versions share.
_KERAS = {
    "iter": 10,
    "scales": "1",
    "restarts": True,
    "precondition": 0.0,
    "borders": "zeros",
    "loss_scale": "keras",
    "style_fit": "stretch",
    "resize": "nearest",
    "pooling": "max",
    "precision": "float32",
}
# What the other published systems share: one size, pixels, no smoothing.
_SINGLE_SIZE = {
    "scales": "1",
    "precondition": 0.0,
    "borders": "zeros",
    "tv_weight": 0.0,
    "content_weight": 1.0,
}
PRESETS = {
    "default": {},
    "keras-1": {**_KERAS, "network": "vgg16", "init": "noise", "weights": "imagenet"},
    "keras-2": {**_KERAS, "content_layers": "block5_conv2", "weights": "imagenet"},
    # arXiv 1508.06576; α/β = 10⁻³, the middle of its figure 3.
    "gatys": {
        **_SINGLE_SIZE,
        "init": "noise",
        "loss_scale": "gatys",
        "style_weight": 1000.0,
        "iter": 25,
    },
    # The TensorFlow tutorial on MatConvNet's imagenet-vgg-verydeep-19.mat (pass it as --weights).
    "tensorflow-vgg19": {
        **_SINGLE_SIZE,
        "init": "mixed",
        "loss_scale": "matconvnet",
        "content_layers": "block4_conv2:0.5,block5_conv2:0.5",
        "style_weight": 500.0,
        "optimizer": "adam",
        "iter": 10,
        "evaluations": 100,
    },
    # The PyTorch neural transfer tutorial (pass torchvision's vgg19 file as --weights).
    "pytorch": {
        **_SINGLE_SIZE,
        "loss_scale": "pytorch",
        "content_layers": "block2_conv2:1",
        "style_layers": "block1_conv1:1,block1_conv2:1,block2_conv1:1,block2_conv2:1,block3_conv1:1",
        "taps": "conv",
        "pooling": "max",
        "style_weight": 1e6,
        "clip": True,
        "iter": 15,
    },
    # arXiv 1701.08893: an image pyramid, Gram and histogram losses, weights found by their gradients.
    "histogram": {"style_loss": "gram+histogram", "auto_weights": True},
}


def make_settings(preset: str = "default", **choices) -> Settings:
    """Settings of a preset with some choices made differently.

    Args:
        preset: a key of `PRESETS`.
        **choices: fields of `Settings`; each overrides the preset's value.

    Raises:
        InputError: an unknown preset or choice, or a value that is not admissible.
    """
    if preset not in PRESETS:
        raise InputError(f"--preset: expected one of {', '.join(PRESETS)}. Received: {preset!r}")
    known = {item.name for item in fields(Settings)}
    for name in choices:
        if name not in known:
            raise InputError(f"{name}: expected a field of Settings. Received: {name!r}")
    merged = {**PRESETS[preset], **choices}
    if merged.get("auto_weights"):
        merged |= {name: share for name, share in AUTO_SHARES.items() if name not in choices}
    # Who starts from a picture of their own goes on with it at full size.
    if "scales" not in choices and merged.get("init", "content") not in INITS:
        merged["scales"] = "1"
    return Settings(**merged)


# With `auto_weights`: each term's gradient relative to that of the style, as seen on seven pairs.
# The Gram loss's falls by much more than the others' on the way, hence its share at the start.
AUTO_SHARES = {"content_weight": 0.06, "style_weight": 1.0, "tv_weight": 0.003}
INITS = ("content", "noise", "mixed", "gray")


def existing_file(path: str, what: str) -> Path:
    """`path` as a Path to an existing, non-empty file, or an InputError that names `what`."""
    path = Path(path).expanduser()
    if path.is_dir():
        raise InputError(f"{what}: expected a file. Received: the folder {str(path)!r}")
    if not path.is_file():
        raise InputError(f"{what}: expected an existing file. Received: {str(path)!r}")
    if not path.stat().st_size:
        raise InputError(f"{what}: expected a file with content. Received: {str(path)!r}, 0 bytes")
    return path
