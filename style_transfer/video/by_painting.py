"""Paints frames in the manner of a painting: a scene's first fully, the others from the previous.

Ruder, Dosovitskiy and Brox, "Artistic style transfer for videos", arXiv 1604.08610.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from style_transfer.settings import Settings
from style_transfer.vgg import Filters, FilterSource
from style_transfer.video.choices import FIXED, ClipChoices
from style_transfer.video.motion import TakenOver

# Pixels that the previous frame shows move by this share of what new pixels do. They are already
# painted, and new pixels should catch up with them in a frame's few evaluations. After 15
# evaluations of a pan: with 1, new pixels stay close to the photograph (roughness 20; a frame
# painted by itself has 36); with 0.1 they get grainy (54); with 0.3 the roughness is 40.
HELD = 0.3


@dataclass(frozen=True)
class Script:
    """Functions of the top-level modules; see there for their arguments.

    Attributes:
        transfer: paints a picture.
        evaluator: `evaluator.Evaluator`.
        minimize: lowers the loss.
        preprocess: turns pixels into an image.
        deprocess: turns an image into pixels.
        images_at: content and style images at a size.
        fitting_images: the images to which filters are fitted.
        recolored: `preprocessing.with_colors_of`.
        resize: `preprocessing.resize`.
    """

    transfer: Callable
    evaluator: Callable
    minimize: Callable
    preprocess: Callable
    deprocess: Callable
    images_at: Callable
    fitting_images: Callable
    recolored: Callable
    resize: Callable


@dataclass(frozen=True)
class Look:
    """Everything that decides how frames look, except the frames themselves.

    Attributes:
        settings: the fields of `Settings`.
        choices: the clip's own choices.
        size: (rows, columns) of the painted frames.
        first: the clip's first frame at that size, for `--preserve_color match`.
        styles: the style pictures.
        source: where the filters came from.
        filters: VGG's filters.
        precision: the network's precision.
    """

    settings: Settings
    choices: ClipChoices
    size: tuple[int, int]
    first: Image.Image
    styles: list[Image.Image]
    source: FilterSource
    filters: Filters
    precision: str


@dataclass(frozen=True)
class Steps:
    """Variables z with which the optimizer moves some pixels less: x = x₀ + s·(z − x₀).

    Attributes:
        start: x₀, float32 (1, H, W, 3).
        size: s, above 0, float32 (1, H, W, 1).
    """

    start: np.ndarray
    size: np.ndarray

    def image(self, variables: np.ndarray) -> np.ndarray:
        """The image x for the variables z, float32 (1, H, W, 3)."""
        return self.start + self.size * (variables - self.start)

    def of(self, objective: Callable) -> Callable:
        """Turn an objective of x into one of z; both return (terms, gradient)."""

        def stepped(variables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            terms, gradient = objective(self.image(variables))
            return terms, self.size * gradient

        return stepped


def ignored(event: object) -> None:
    """Listens to nothing."""


@dataclass
class ByPainting:
    """Paints frames; makes network, style targets and compiled losses only once.

    Attributes:
        look: see `Look`.
        script: see `Script`.
        listener: called with the events while a frame is painted; may raise StopRun.
    """

    look: Look
    script: Script
    listener: Callable = ignored
    _network: Any = None
    _losses: dict[tuple[int, int], Callable] = field(default_factory=dict)

    def first(self, frame: np.ndarray) -> np.ndarray:
        """Paint the first frame of a scene, coarse to fine, like a photograph.

        Args:
            frame: uint8 (H, W, 3), RGB.

        Returns:
            uint8 (H, W, 3), RGB.
        """
        settings, (rows, columns) = self.look.settings, self.look.size
        choices = {
            item.name: value
            for item in dataclasses.fields(settings)
            if (value := getattr(settings, item.name)) != item.default and item.name != "size"
        }
        # These pictures already have their final colors and size.
        choices |= {"height": rows, "width": columns, "preserve_color": "none", **FIXED}
        picture, _ = self.script.transfer(
            frame,
            self.look.styles,
            None,
            on_event=self.listener,
            objectives=self._objectives,
            force=True,
            **choices,
        )
        return np.asarray(picture.convert("RGB"))

    def next(self, frame: np.ndarray, over: TakenOver) -> np.ndarray:
        """Paint a later frame of a scene.

        It starts from the earlier frames' paint where there is some, and from itself elsewhere.

        Args:
            frame: uint8 (H, W, 3), RGB.
            over: the paint taken over from earlier frames.

        Returns:
            uint8 (H, W, 3), RGB.
        """
        content = self.script.preprocess(frame)
        earlier = self.script.preprocess(over.earlier)
        seen = over.seen[None]
        start = np.minimum(seen, 1) * earlier + (1 - np.minimum(seen, 1)) * content
        settings = dataclasses.replace(
            self.look.settings, iter=1, evaluations=self.look.choices.frame_evaluations
        )
        precondition = settings.precondition if settings.optimizer == "lbfgs" else 0.0
        steps = Steps(start.astype(np.float32), 1 - (1 - HELD) * np.minimum(seen, 1))
        objective = steps.of(self._objective(content, earlier, seen))
        result = []
        evaluator = self.script.evaluator(
            objective, steps.start, None, self._evaluated, precondition
        )
        self.script.minimize(evaluator, 1, settings, lambda image, loss: result.append(image))
        return np.ascontiguousarray(self.script.deprocess(steps.image(result[-1])))

    def terms(self, frame: np.ndarray) -> np.ndarray:
        """`FRAME_TERMS` of a painted frame: total variation and style loss; the others are 0.

        Args:
            frame: uint8 (H, W, 3), RGB.
        """
        image = self.script.preprocess(frame)
        nothing = np.zeros_like(image)
        return self._objective(image, nothing, nothing[..., :1])(image)[0]

    def _evaluated(self, terms: np.ndarray, seconds: float, replayed: bool) -> None:
        self.listener(terms)

    def _objectives(self, run: Any, inputs: Any) -> Callable:
        """Like `neural_style_transfer.vgg_objectives`, with losses kept for the next scene."""
        run.record.filters, run.record.precision = self.look.source, self.look.precision
        content_picture = inputs.content.image

        def objective_at(size: Any) -> Callable:
            [content] = self.script.images_at([content_picture], size.shape, self.look.settings)
            zeros = np.zeros((1, *size.shape, 3), np.float32)
            objective = self._objective(content, zeros, zeros[..., :1])

            def without_motion(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                terms, gradient = objective(image)
                return terms[:-1], gradient

            return without_motion

        return objective_at

    def _objective(self, content: np.ndarray, earlier: np.ndarray, seen: np.ndarray) -> Callable:
        """The objective of one frame: takes an image, (1, H, W, 3); returns (terms, gradient)."""
        from style_transfer.targets import content_layers_in_use, content_targets

        settings = self.look.settings
        loss = self._loss(content.shape[1:3])
        found = content_targets(self.network, content, settings).features
        features = [found[layer] for layer in content_layers_in_use(settings)]
        return lambda image: loss(image, *features, earlier, seen)

    def _loss(self, size: tuple[int, int]) -> Callable:
        """The loss of all frames at a size, compiled once."""
        if size not in self._losses:
            from style_transfer.objective import make_frame_objective, make_loss_weights
            from style_transfer.targets import Targets, style_targets

            settings = self.look.settings
            images = self.script.images_at([self.look.first, *self.look.styles], size, settings)
            styles = tuple(style_targets(self.network, image, settings) for image in images[1:])
            weights = make_loss_weights(settings)
            weights["temporal"] = self.look.choices.temporal_weight
            targets = Targets(tuple(images), styles=styles)
            self._losses[size] = make_frame_objective(self.network, targets, settings, weights)
        return self._losses[size]

    @property
    def network(self) -> Any:
        """VGG with its filters."""
        if self._network is None:
            from style_transfer.backends import start

            start()
            from style_transfer.network import feature_extractor

            look = self.look
            self._network = feature_extractor(look.filters, look.settings, look.precision)
        return self._network
