"""A training from its start, or from its last backup, to its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from style_transfer import backends
from style_transfer.balance import balanced_loss_weights
from style_transfer.environment import environment
from style_transfer.errors import InputError
from style_transfer.events import Said, StopRun
from style_transfer.feedforward.about import About, Style, thumbnail
from style_transfer.feedforward.album import Album, at_most
from style_transfer.feedforward.callbacks import (
    Keeper,
    Log,
    Pace,
    Progress,
    Teller,
    cut_log,
    read_backup,
    steps_of,
)
from style_transfer.feedforward.events import Saved
from style_transfer.feedforward.files import TrainingFiles
from style_transfer.feedforward.model_file import save_network
from style_transfer.feedforward.network import style_network
from style_transfer.feedforward.objective import BatchLoss, as_images
from style_transfer.feedforward.photographs import Crops, PhotographCrops
from style_transfer.feedforward.preview import sheet, write_sheet
from style_transfer.feedforward.record import TrainingRecord
from style_transfer.feedforward.training import StyleTraining
from style_transfer.filters import load_filters, reload_filters
from style_transfer.filters.normalized import normalized_filters
from style_transfer.network import FeatureExtractor, feature_extractor, processor_precision
from style_transfer.pictures import Picture, load_picture
from style_transfer.runs.files import write_text
from style_transfer.targets import ContentTargets, Targets, content_targets

PREVIEW_ROWS = 256  # of the photographs in the preview
MEASURED = 16  # crops whose features' energy is measured before a training
ENDLESS = 10**9  # epochs: time or steps end a training


@dataclass(frozen=True)
class Material:
    """The pictures that a training uses.

    Attributes:
        styles: the style pictures.
        style_images: the same at STYLE_ROWS, float32 (1, H, W, 3), BGR minus mean.
        fitting_images: photographs and styles to which filters may be fitted, likewise.
        photographs: paths of the photographs to train on.
        held_out: paths of the photographs in the preview.
    """

    styles: Sequence[Picture]
    style_images: list[np.ndarray]
    fitting_images: list[np.ndarray]
    photographs: Sequence[Path]
    held_out: Sequence[Path]


class Session:
    """One part of a training: from its start or its last backup, until it ends or is stopped.

    The caller holds the lock.

    Args:
        files: the training's files.
        record: the training's record, into which choices made here are entered.
        material: the pictures.
        tell: passes an event to all listeners.
    """

    def __init__(
        self, files: TrainingFiles, record: TrainingRecord, material: Material, tell: Callable
    ):
        self.files, self.record, self.material, self.tell = files, record, material, tell
        self.choices, self.settings = record.choices, record.settings

    def run(self) -> About:
        """Train until the end.

        Returns:
            The description of the training in MODEL.keras.

        Raises:
            InputError: filters, photographs or a backup cannot be used.
            StopRun: a listener stopped it; a backup has been written.
            RunStopped: the loss was not finite, or memory ran out.
        """
        self._begin()
        vgg = self._vgg()
        crops = self._crops()
        self.training = self._model(vgg, crops)
        self.previewed = self._previewed()
        self.progress = self._progress()
        crops.step = steps_of(self.training)
        cut_log(self.files.log, self.progress.epoch)
        keeper = Keeper(self.progress, self.files.backup, self.save)
        write_text(self.files.record, self.record.to_json())
        if self.progress.share(steps_of(self.training)) < 1:
            self._fit(crops, keeper)
        self.save(finished=True)
        self.files.clear()
        return self.about(finished=True)

    def _fit(self, crops: PhotographCrops, keeper: Keeper) -> None:
        size, batch = self.choices.size, self.choices.batch
        callbacks = [
            Pace(self.progress),
            Log(self.progress, self.files.log),
            keeper,
            Teller(self.progress, self.tell),
        ]
        try:
            with backends.memory_for(f"a batch of {batch} crops of {size} x {size} pixels"):
                self.training.fit(
                    crops,
                    epochs=ENDLESS,
                    initial_epoch=self.progress.epoch,
                    shuffle=False,
                    verbose=0,
                    callbacks=callbacks,
                )
        except StopRun:
            keeper.back_up()
            self.save()
            raise

    # The parts of a training

    def _begin(self) -> None:
        """Take over the choices made at the start of a training that continues."""
        if not self.files.is_interrupted():
            self.files.backup.unlink(missing_ok=True)  # of one that was killed while it ended
            return
        before = TrainingRecord.read(self.files.record)
        before.check_same(self.record)
        for name in ("filters", "precision", "loss_weights", "versions"):
            setattr(self.record, name, getattr(before, name))

    def _say(self, line: str, warning: bool = False) -> None:
        self.tell(Said(line, warning))

    def _vgg(self) -> FeatureExtractor:
        """VGG with the filters that the settings or an earlier part of the training ask for."""
        record, settings, images = self.record, self.settings, self.material.fitting_images
        if record.filters is None:
            filters, record.filters = load_filters(settings.weights, settings, images, self._say)
        else:
            folder = self.files.state
            filters, record.filters = reload_filters(
                record.filters, settings, images, self._say, folder
            )
        if settings.normalize_filters:
            filters = normalized_filters(filters, images, settings)
        chosen = settings.precision if settings.precision != "auto" else processor_precision()
        record.precision = record.precision or chosen
        record.versions.append(environment())
        return feature_extractor(filters, settings, record.precision)

    def _crops(self) -> PhotographCrops:
        choices = self.choices
        album = Album(
            self.material.photographs, choices.size, lambda line: self._say(line, warning=True)
        )
        crops = Crops(choices.size, choices.batch, choices.steps_of_epoch, self.settings.seed)
        return PhotographCrops(album, crops)

    def _model(self, vgg: FeatureExtractor, crops: PhotographCrops) -> StyleTraining:
        choices = self.choices
        shape = (choices.batch, choices.size, choices.size)
        weights = self._loss_weights(vgg, crops)
        energies = self._energies(vgg, crops)
        loss = BatchLoss(vgg, self.material.style_images, self.settings, shape, weights, energies)
        network = style_network(choices.width, self.record.precision, self.settings.seed)
        return StyleTraining(network, loss, choices.learning_rate)

    def _loss_weights(self, vgg: FeatureExtractor, crops: PhotographCrops) -> dict | None:
        """With `auto_weights`, the loss weights, measured once at the first crop."""
        if not self.settings.auto_weights:
            return None
        if not self.record.loss_weights:
            image = keras.ops.convert_to_numpy(as_images(crops.crop(0)[None]))
            shape = (1, *image.shape[1:3])
            styles = BatchLoss(vgg, self.material.style_images, self.settings, shape).styles
            content: ContentTargets = content_targets(vgg, image, self.settings)
            targets = Targets((image, *self.material.style_images), content, styles)
            self.record.loss_weights = balanced_loss_weights(vgg, targets, self.settings)
        return self.record.loss_weights

    def _energies(self, vgg: FeatureExtractor, crops: PhotographCrops) -> dict[str, float]:
        """What `BatchLoss` takes; each time the same, as crops are known by their numbers."""
        if self.settings.loss_scale != "relative":
            return {}
        found: dict[str, list[float]] = {}
        for number in range(MEASURED):
            image = keras.ops.convert_to_numpy(as_images(crops.crop(number)[None]))
            for layer, features in content_targets(vgg, image, self.settings).features.items():
                energy = float(keras.ops.sum(keras.ops.square(features)))
                found.setdefault(layer, []).append(energy)
        return {layer: float(np.mean(energies)) for layer, energies in found.items()}

    def _progress(self) -> Progress:
        if not self.files.backup.exists():
            return Progress(self.choices)
        progress = read_backup(self.training, self.choices, self.files.backup)
        self._say(
            f"Continues after {steps_of(self.training)} steps and "
            f"{progress.seconds / 60:.1f} minutes."
        )
        return progress

    def _previewed(self) -> list[np.ndarray]:
        """The held-out photographs that can be read, uint8 (PREVIEW_ROWS, W, 3)."""
        found = []
        for path in self.material.held_out:
            try:
                picture = load_picture(path, "PHOTOS").image
            except InputError as error:
                self._say(f"Passed over: {error}", warning=True)
                continue
            columns = max(16, round(picture.width * PREVIEW_ROWS / picture.height))
            small = at_most(picture, 2 * max(PREVIEW_ROWS, columns))
            found.append(
                np.asarray(small.resize((columns, PREVIEW_ROWS), Image.Resampling.LANCZOS))
            )
        if not found:
            raise InputError("PHOTOS: expected photographs that can be read. Received: none")
        return found

    # Its results

    def save(self, finished: bool = False) -> None:
        """Write the current network and preview."""
        network = self.training.network
        network.about = self.about(finished).to_json()
        save_network(network, self.files.network, self.files.state)
        styles = [style.image for style in self.material.styles]
        write_sheet(self.files.preview, sheet(network, styles, self.previewed))
        self.tell(Saved(str(self.files.network), str(self.files.preview)))

    def about(self, finished: bool = False) -> About:
        """The description of the training so far."""
        record, filters = self.record, self.record.filters
        assert filters is not None  # they are loaded before anything is saved
        settings = dataclasses.asdict(record.settings)
        settings["weights"] = filters.source  # no path of this machine
        return About(
            styles=[
                Style(Path(style.path).stem if style.path else "style", style.sha256, small)
                for style in self.material.styles
                for small in [thumbnail(style.image)]
            ],
            settings=settings,
            choices=dataclasses.asdict(record.choices),
            filters={"source": filters.source, "sha256": filters.sha256},
            photographs=len(self.material.photographs),
            precision=record.precision,
            steps=steps_of(self.training),
            seconds=round(self.progress.seconds, 1),
            losses=self.progress.losses,
            versions=record.versions[-1],
            finished=finished,
        )
