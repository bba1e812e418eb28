"""The losses of a run at each of its sizes: whole or, if memory does not suffice, in tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from style_transfer.balance import balanced_loss_weights
from style_transfer.cluster import check_ray
from style_transfer.disk import disk_line
from style_transfer.memory import methods_for
from style_transfer.objective import make_objective
from style_transfer.runs.kept_tiles import KeptTiles
from style_transfer.tile_crew import Crew, crew_size, other_processes
from style_transfer.tile_map import TileMap, Tiling
from style_transfer.tiled_targets import TiledTargets, make_tiled_targets
from style_transfer.tiles import balanced_loss_weights_in_tiles, make_tiled_objective

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor
    from style_transfer.runs.run import Run
    from style_transfer.schedule import Size
    from style_transfer.shared import Shared
    from style_transfer.targets import Masks, Targets
    from style_transfer.vgg import Filters


def crew_for(run: Run, filters: Filters, workers: int | str, address: str | None) -> Crew:
    """The processes that compute a run's tiles.

    Args:
        run: the run, with its settings and precision.
        filters: the network's filters.
        workers: as for `--workers`.
        address: the address of a Ray cluster, or None.

    Raises:
        InputError: `workers` is not a number, Ray is missing, or there is no cluster at the
            address.
    """
    count = crew_size(workers, address)
    if count == 1 and address is None:
        return Crew()
    check_ray(address)
    return Crew(count, address, filters, run.record.precision)


class RunLosses:
    """Makes targets and objective of a run at any of its sizes.

    Args:
        run: the run; its record gets the method of each size.
        network: the network that `shared` made last.
        shared: keeps targets for later sizes and runs.
        crew: the processes that compute tiles; None: this process.
    """

    def __init__(
        self, run: Run, network: FeatureExtractor, shared: Shared, crew: Crew | None = None
    ):
        self.run, self.network, self.shared = run, network, shared
        self.crew = crew or Crew()
        self._tiles: TileMap | None = None
        run.resources.callback(self.close)
        self.settings, record = run.record.settings, run.record
        local = other_processes(self.crew.workers, self.crew.address)
        sizes, styles = record.sizes, len(record.styles)
        run.choose_methods(partial(methods_for, self.settings, sizes, styles, local))
        if run.files and (line := disk_line(record, run.files, run.options.journal)):
            run.say(line)
        if not (self.crew.is_this_process or any(run.method(x).tile for x in sizes)):
            run.say(
                "--workers: no size is computed in tiles, so this process paints alone "
                "(use --tile N for tiles).",
                warning=True,
            )

    def targets(self, size: Size, images: list[np.ndarray], regions: list[Masks] | None) -> Targets:
        """The targets with which the combination image is compared.

        Args:
            size: one of the run's sizes.
            images: content image, then style images, float32 (1, H, W, 3), BGR minus mean.
            regions: the regions of each image, in the same order; None without masks.
        """
        self.close()
        if not self.run.method(size).tile:
            return self.shared.targets(images, self.settings, regions)
        tiling = self._tiling(size)
        targets = make_tiled_targets(self.network, images, self.settings, tiling, regions)
        self._tiles = targets.tiles
        return targets

    def _tiling(self, size: Size) -> Tiling:
        run, kept = self.run, None
        if run.files and run.options.journal:
            kept = KeptTiles(run.files.tiles, run.record.key_of_answers(size))
        return Tiling(
            run.method(size).tile,
            run.files.prefix.parent if run.files else None,
            self.crew,
            kept,
            on_pass=lambda done: run.tell(dataclasses.replace(done, size=size)),
        )

    def close(self) -> None:
        """End the processes that compute the last size's tiles."""
        if self._tiles:
            self._tiles.close()
            self._tiles = None

    def objective(self, size: Size, targets: Targets) -> Callable:
        """The objective at a size: takes an image, (1, H, W, 3), and returns (terms, gradient).

        Args:
            size: one of the run's sizes.
            targets: the targets at this size.
        """
        make: Callable = make_objective
        measure: Callable = balanced_loss_weights
        if isinstance(targets, TiledTargets):
            make, measure = make_tiled_objective, balanced_loss_weights_in_tiles
        of = self.network, targets, self.settings
        return make(*of, self.run.loss_weights(size, partial(measure, *of)))
