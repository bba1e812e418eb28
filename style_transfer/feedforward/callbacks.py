"""Keras callbacks for a training: clock and rate, backups, results, listeners."""

import csv
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import keras

from style_transfer.errors import InputError, NotFinite
from style_transfer.feedforward.choices import Choices
from style_transfer.feedforward.events import StepDone
from style_transfer.feedforward.files import LOG_COLUMNS
from style_transfer.runs.files import naming, on_its_way, sync, write_text

# Seconds between backups, which a kill may cost, and between previews. A backup of a network of
# width 32 has 20 MB.
BACKUP_EVERY, SAVE_EVERY = 30.0, 60.0
_PROGRESS = "progress"  # attribute of a backup


class Progress:
    """The progress of a training, which a backup restores.

    Attributes:
        epoch: the number of complete epochs.
        losses: means over the last complete epoch.
    """

    def __init__(self, choices: Choices, epoch: int = 0, seconds: float = 0.0):
        self.choices, self.epoch, self.losses = choices, epoch, {}
        self._before, self._since = seconds, time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all its parts."""
        return self._before + time.monotonic() - self._since

    def share(self, steps: int) -> float:
        """The share of the training that is done, 0 to 1."""
        return self.choices.share(self.seconds, steps)

    def left(self, steps: int) -> float:
        """Estimated seconds left."""
        if self.choices.steps:
            return self.seconds * (self.choices.steps / max(1, steps) - 1)
        return max(0.0, 60 * self.choices.minutes - self.seconds)


def steps_of(model: keras.Model) -> int:
    """The number of batches that a model was trained on, over all parts of its training."""
    return int(model.optimizer.iterations)


class Pace(keras.callbacks.Callback):
    """Sets the rate by the share of the training that is done, and ends the training.

    It does so at each batch, not at each epoch, so that a training that continues within an epoch
    takes the same steps.
    """

    def __init__(self, progress: Progress):
        super().__init__()
        self.progress = progress

    def _share(self) -> float:
        return self.progress.share(steps_of(self.model))

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.progress.choices.rate(self._share())

    def on_train_batch_end(self, batch, logs=None):
        if self._share() >= 1:
            self.model.stop_training = True


class Keeper(keras.callbacks.Callback):
    """Writes backups, and every minute the network and its preview.

    Args:
        progress: updated at the end of each epoch.
        backup: path of the backup.
        save: writes network and preview.
    """

    def __init__(self, progress: Progress, backup: Path, save: Callable[[], None]):
        super().__init__()
        self.progress, self.path, self.save = progress, backup, save
        self._backed_up = self._saved = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() - self._backed_up > BACKUP_EVERY and math.isfinite(logs["loss"]):
            self.back_up()

    def on_epoch_end(self, epoch, logs=None):
        losses = {name: float(value) for name, value in logs.items()}
        if not all(map(math.isfinite, losses.values())):
            raise NotFinite("the loss is not finite; a smaller --learning_rate may help")
        self.progress.epoch, self.progress.losses = epoch + 1, losses
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()
            self._saved = time.monotonic()

    def back_up(self) -> None:
        """Write a backup, whole or not at all."""
        write_backup(self.model, self.progress, self.path)
        self._backed_up = time.monotonic()


class Log(keras.callbacks.Callback):
    """Adds a line for each epoch to a table. (Keras's CSVLogger has no clock, and empty columns.)

    Args:
        progress: the training's progress.
        path: path of the file; if it exists, lines are appended.
    """

    def __init__(self, progress: Progress, path: Path):
        super().__init__()
        self.progress, self.path = progress, path

    def on_train_begin(self, logs=None):
        if not self.path.exists():
            write_text(self.path, ",".join(LOG_COLUMNS) + "\n")

    def on_epoch_end(self, epoch, logs=None):
        own = {
            "epoch": epoch,
            "step": steps_of(self.model),
            "seconds": self.progress.seconds,
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        values = own | logs
        line = ",".join(f"{values[name]:.6g}" for name in LOG_COLUMNS)
        with naming(self.path), self.path.open("a") as file:
            file.write(line + "\n")


class Teller(keras.callbacks.Callback):
    """Reports each batch to the listeners; one that raises StopRun stops the training.

    Args:
        progress: the training's progress.
        tell: passes an event to all listeners.
    """

    def __init__(self, progress: Progress, tell: Callable):
        super().__init__()
        self.progress, self.tell = progress, tell

    def on_train_batch_end(self, batch, logs=None):
        steps = steps_of(self.model)
        share, seconds = self.progress.share(steps), self.progress.seconds
        losses = {name: float(value) for name, value in logs.items()}
        self.tell(StepDone(steps, share, seconds, self.progress.left(steps), losses))


def write_backup(model: keras.Model, progress: Progress, path: Path) -> None:
    """Write network, optimizer and progress into one file, which appears whole or not at all."""
    temporary = path.with_name(f"unfinished_{path.name}")
    text = json.dumps(
        {"epoch": progress.epoch, "seconds": progress.seconds, "losses": progress.losses}
    )
    with on_its_way(path, temporary):
        model.save_weights(temporary)
        with h5py.File(temporary, "r+") as file:
            file.attrs[_PROGRESS] = text
        sync(temporary)


def read_backup(model: keras.Model, choices: Choices, path: Path) -> Progress:
    """Restore a model from a backup; returns the training's progress.

    Raises:
        InputError: the backup is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            text = json.loads(file.attrs[_PROGRESS])
        model.load_weights(path)
        progress = Progress(choices, int(text["epoch"]), float(text["seconds"]))
        progress.losses = dict(text["losses"])
        return progress
    except Exception as error:  # h5py and Keras raise almost every kind of exception
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            "MODEL: expected a whole backup of the training that was stopped, or --overwrite. "
            f"Received: {str(path)!r} ({reason})"
        ) from None


def cut_log(path: Path, epochs: int) -> None:
    """Keep the first epochs of a log; those after the backup will be logged again."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        return
    kept = [row for row in rows[1:] if row and row[0].isdecimal() and int(row[0]) < epochs]
    lines = [",".join(row) for row in (*rows[:1], *kept)]
    write_text(path, "".join(f"{line}\n" for line in lines))
