"""Which processes compute the tiles of a picture: this one, others, or a cluster's nodes.

Nothing here imports Keras: other processes import this file before they start the backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from style_transfer.backends import start
from style_transfer.cluster import parse_workers
from style_transfer.grid import Grid
from style_transfer.machine import usable_cores
from style_transfer.settings import Settings
from style_transfer.vgg import Filters

if TYPE_CHECKING:
    from style_transfer.tile_map import TileWorker

CORES_A_WORKER = 2


@dataclass(frozen=True)
class Crew:
    """The processes that compute tiles; by default this one.

    Attributes:
        workers: how many processes; None: on a cluster, as `cluster.Workers` chooses.
        address: the address of a Ray cluster, or None.
        filters: the network's filters, for other processes.
        precision: the network's precision, likewise.
    """

    workers: int | None = 1
    address: str | None = None
    filters: Filters | None = None
    precision: str = ""

    @property
    def is_this_process(self) -> bool:
        """Whether no other process is needed."""
        return self.workers == 1 and self.address is None


def crew_size(workers: int | str, address: str | None) -> int | None:
    """How many processes compute tiles; None if a cluster is to choose.

    Args:
        workers: as for `--workers`.
        address: the address of a Ray cluster, or None.

    Raises:
        InputError: `workers` is not a number.
    """
    count = parse_workers(workers)
    if count is None and address is None:
        # On 2 cores, two processes were not faster than one with two threads.
        count = max(1, usable_cores() // CORES_A_WORKER)
    return count


def other_processes(workers: int | None, address: str | None) -> int:
    """How many processes of this machine compute tiles besides this one, by the crew's size."""
    return 0 if address is not None or workers == 1 else workers or 0


@dataclass(frozen=True)
class RemoteTileWorker:
    """Makes a `TileWorker` in another process, to which this object is sent by pickle."""

    crew: Crew
    settings: Settings
    grid: Grid
    regions: tuple[np.ndarray | None, ...]
    content: np.ndarray

    def __call__(self) -> TileWorker:
        start()
        from style_transfer.network import feature_extractor
        from style_transfer.tile_map import TileWorker

        assert self.crew.filters is not None
        network = feature_extractor(self.crew.filters, self.settings, self.crew.precision)
        return TileWorker(network, self.settings, self.grid, self.regions, self.content)
