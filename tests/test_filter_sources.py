"""The real program, killed and resumed, with filters from everywhere they can come from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from imagenet_files import write_imagenet
from programs import Program

QUICK = [
    "--content_layers",
    "block1_conv1",
    "--style_layers",
    "block1_conv1",
    "--height",
    "32",
    "--iter",
    "2",
    "--evaluations",
    "3",
    "--scales",
    "1",
]
KILLED = -9


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program("warm", tmp_path_factory.mktemp("printed"))
    yield program
    program.close()


class Place:
    """A folder with pictures, and a cache of Keras's; no connection to anywhere."""

    def __init__(self, program: Program, folder: Path):
        self.program, self.folder, self.home = program, folder, folder / "keras"
        self.md5 = {}
        draw(40, 56, seed=1).save(folder / "base.png")
        draw(48, 36, seed=2).save(folder / "style.png")
        self.filters = folder / "few.npz"
        kernel = np.random.default_rng(1).normal(0, 0.3, (3, 3, 3, 64)).astype(np.float32)
        bias = np.zeros(64, np.float32)
        np.savez(self.filters, **{"block1_conv1/kernel": kernel, "block1_conv1/bias": bias})

    def cache(self, network: str = "vgg19", seed: int = 7) -> Path:
        """Put a file of ImageNet's layout into the cache."""
        written = write_imagenet(self.home, network, seed)
        self.md5[network] = written.md5
        return written.path

    def run(self, *arguments, **order):
        environment = {"KERAS_HOME": str(self.home), "https_proxy": "http://127.0.0.1:9"}
        order |= {"environment": environment, "md5": self.md5}
        return self.program(list(arguments), self.folder, **order)

    def begin(self, prefix: str, *options, **order):
        return self.run("base.png", "style.png", prefix, *QUICK, *options, **order)

    def killed(self, prefix: str, *options) -> None:
        assert self.begin(prefix, *options, kill_after=4).code == KILLED

    def finish(self, prefix: str, *options) -> None:
        ended = self.run("--resume", prefix, *options)
        assert (ended.code, ended.err) == (0, ""), ended
        if not options:
            assert "Replayed 4 evaluations" in ended.out

    def result(self, prefix: str) -> tuple[bytes, str]:
        """The result's bytes, and where its filters came from."""
        record = json.loads((self.folder / f"{prefix}.json").read_text())
        assert record["status"] == "finished"
        return (self.folder / f"{prefix}.png").read_bytes(), record["filters"]["source"]


@pytest.fixture
def place(program, tmp_path):
    return Place(program, tmp_path)


@pytest.mark.parametrize(
    "weights, source",
    [
        ("imagenet", "imagenet"),
        ("auto", "imagenet"),
        ("fitted", "fitted"),
        ("random", "random"),
        ("few.npz", "file"),
        ("keras/models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5", "file"),
    ],
)
def test_a_killed_run_ends_as_one_that_was_not(weights, source, place):
    place.cache()
    assert place.begin("whole", "--weights", weights).code == 0
    place.killed("killed", "--weights", weights)
    place.finish("killed")
    assert place.result("killed") == place.result("whole")
    assert place.result("whole")[1] == source


def test_filters_once_fitted_stay_when_imagenet_s_appear(place):
    whole = place.begin("whole")
    assert whole.code == 0 and "fitted to these pictures" in whole.out
    place.killed("killed")
    place.cache()
    place.finish("killed")
    assert place.result("killed") == place.result("whole")


def test_imagenet_s_file_may_move(place):
    file = place.cache()
    assert place.begin("whole").code == 0
    place.killed("killed")
    file.rename(place.folder / file.name)  # beside the record
    place.finish("killed")
    assert place.result("killed") == place.result("whole")


def test_a_file_moves_with_the_folder_of_its_run(place):
    assert place.begin("whole", "--weights", "few.npz").code == 0
    place.killed("killed", "--weights", "few.npz")
    folder = place.folder.with_name(place.folder.name + " moved")
    place.folder.rename(folder)
    place.folder = folder
    place.finish("killed")
    assert place.result("killed") == place.result("whole")


def test_another_file_of_the_same_name_is_refused(place):
    file = place.cache()
    place.killed("killed")
    place.cache(seed=8)
    ended = place.run("--resume", "killed")
    assert ended.code == 2 and file.name in ended.err and "another file" in ended.err


def test_another_network_has_its_own_file(place):
    place.cache(), place.cache("vgg16")
    place.killed("killed")
    place.finish("killed", "--network", "vgg16", "--overwrite")
    record = json.loads((place.folder / "killed.json").read_text())
    assert "vgg16" in record["filters"]["file"]
    assert place.begin("whole", "--network", "vgg16").code == 0
    assert place.result("killed") == place.result("whole")


def test_a_resume_in_a_copy_of_the_folder_uses_the_copy(place):
    place.killed("killed", "--weights", "few.npz")
    copy = place.folder.with_name(place.folder.name + " copied")
    shutil.copytree(place.folder, copy)
    shutil.rmtree(place.folder)
    place.folder = copy
    place.finish("killed")
    record = json.loads((copy / "killed.json").read_text())
    assert record["filters"]["file"] == str(copy / "few.npz")
