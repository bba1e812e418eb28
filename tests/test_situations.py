"""What users run into: each situation a row of command, exit code and what is said.

Every command runs in a folder of its own, a copy of what `make_folder` makes. Words before `;` are
for the shell and come first. `nst` is the program, `light` the program without the network, as in
light_program.py; NAME=value and `-u NAME` before it change its environment.
"""

import hashlib
import json
import shlex
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import draw
from PIL import Image
from programs import Program

from style_transfer.runs.record import checksum

QUICK = {
    "--weights": "random",
    "--content_layers": "block1_conv1",
    "--style_layers": "block1_conv1",
    "--height": "32",
    "--precision": "float32",
    "--iter": "2",
    "--evaluations": "3",
    "--scales": "1",
}
LONG = "x" * 300
RUNS = tuple(f"project/{run}" for run in ("done", "half", "filed", "folder/filed"))  # they grow
SITUATIONS = [
    # Paths that are missing or no pictures
    ("missing content", "nst none.png style.png out", 2, "BASE: expected an existing file"),
    ("missing style", "nst base.png none.png out", 2, "REF: expected an existing file"),
    ("missing second style", "nst base.png style.png none.png out", 2, "none.png"),
    ("a folder for a picture", "nst folder style.png out", 2, "the folder 'folder'"),
    ("a folder for a style", "nst base.png folder out", 2, "the folder 'folder'"),
    ("zero bytes", "nst empty.png style.png out", 2, "0 bytes"),
    ("text for a picture", "nst text.png style.png out", 2, "BASE: expected a picture"),
    ("text for a style", "nst base.png text.png out", 2, "REF: expected a picture"),
    ("a web page for a picture", "nst page.jpg style.png out", 2, "page.jpg"),
    ("half a JPEG", "nst torn.jpg style.png out", 2, "damaged"),
    ("half a PNG", "nst torn.png style.png out", 2, "damaged"),
    ("one pixel", "nst pixel.png style.png out", 2, "1 x 1"),
    ("one pixel of style", "nst base.png pixel.png out", 2, "1 x 1"),
    ("a strip too narrow", "nst narrow.png style.png out --style_layers block5_conv1", 2, "block5"),
    ("a broken link", "ln -s nowhere l.png; nst l.png style.png out", 2, "l.png"),
    ("a link to itself", "ln -s l.png l.png; nst l.png style.png out", 2, "l.png"),
    ("a file as a folder", "nst base.png/x.png style.png out", 2, "base.png/x.png"),
    ("a name of 300 characters", f"nst {LONG}.png style.png out", 2, "too long"),
    ("a style of 300 characters", f"nst base.png {LONG} out", 2, "too long"),
    ("an empty name", "nst '' style.png out", 2, "BASE: expected a path"),
    ("an empty style", "nst base.png '' out", 2, "REF: expected a path"),
    ("a name with a line break", "nst 'a\nb.png' style.png out", 2, r"a\nb.png"),
    ("a web address", "nst https://example.org/a.png style.png out", 2, "example.org"),
    ("a bomb of pixels", "nst bomb.png style.png out", 2, "pixels"),
    ("a damaged HEIC", "nst fake.heic style.png out", 2, "fake.heic"),
    ("a damaged AVIF", "nst fake.avif style.png out", 2, "fake.avif"),
    ("an SVG", "nst drawing.svg style.png out", 2, "drawing.svg"),
    ("a device", "nst /dev/null style.png out", 2, "/dev/null"),
    # Odd pictures that are read
    ("EXIF of negative resolution", "light exif.jpg style.png out", 0, "out_at_iteration_1.png"),
    ("EXIF that is cut", "light cut_exif.jpg style.png out", 0, "out_at_iteration_1.png"),
    ("a picture on its side", "light turned.jpg style.png out", 0, "22 x 32"),
    ("an animated GIF", "light animated.gif style.png out", 0, "first frame"),
    ("an animated PNG", "light animated.png style.png out", 0, "first frame"),
    ("an animated WebP", "light animated.webp style.png out", 0, "first frame"),
    ("several pages", "light pages.tif style.png out", 0, "several pages"),
    ("transparency", "light alpha.png style.png out", 0, "out_at_iteration_1.png"),
    ("16 bits of gray", "light gray16.png style.png out", 0, "out_at_iteration_1.png"),
    ("CMYK", "light cmyk.jpg style.png out", 0, "out_at_iteration_1.png"),
    ("a palette", "light palette.gif style.png out", 0, "out_at_iteration_1.png"),
    ("a PNG called JPEG", "light png.jpg style.png out", 0, "out_at_iteration_1.png"),
    ("numbers that are none", "light nan.tif style.png out", 0, "out_at_iteration_1.png"),
    ("floating point", "light float.tif style.png out", 0, "out_at_iteration_1.png"),
    ("gray and alpha", "light la.png style.png out", 0, "out_at_iteration_1.png"),
    ("a transparent palette", "light clear.gif style.png out", 0, "out_at_iteration_1.png"),
    ("black and white", "light bit.png style.png out", 0, "out_at_iteration_1.png"),
    ("a broken profile", "light profile.png style.png out", 0, "color profile"),
    ("all of it invisible", "light invisible.png style.png out", 0, "flat"),
    ("no ending", "cp base.png base; light base style.png out", 0, "out_at_iteration_1.png"),
    ("a white content picture", "nst white.png style.png out", 0, "flat"),
    ("a white painting", "nst base.png white.png out", 0, "out_at_iteration_1.png"),
    ("all white", "nst white.png white.png out", 0, "flat"),
    # Options
    ("no arguments", "nst", 2, "BASE REF PREFIX"),
    ("two paths", "nst base.png style.png", 2, "BASE REF PREFIX"),
    ("an unknown option", "nst base.png style.png out --stile_weight 1", 2, "stile_weight"),
    ("a line break in an option", "nst base.png style.png out '--a\nb'", 2, r"--a\nb"),
    ("an abbreviated option", "nst base.png style.png out --heig 32", 2, "--heig"),
    ("an option without its value", "nst base.png style.png out --seed", 2, "--seed"),
    ("a file name like an option", "nst --x-y.png style.png out", 2, "--x"),
    ("a file name after --", "nst --seed 1 -- --x-y.png style.png out", 2, "'--x-y.png'"),
    ("a negative height", "nst base.png style.png out --height -5", 2, "--height"),
    ("a height of 0", "nst base.png style.png out --height 0", 2, "--height"),
    ("a height too small", "nst base.png style.png out --height 15", 2, "at least 16"),
    ("a height in words", "nst base.png style.png out --height tall", 2, "'tall'"),
    ("a height with a fraction", "nst base.png style.png out --height 40.5", 2, "'40.5'"),
    ("a height of 300 digits", f"nst base.png style.png out --height {'9' * 300}", 2, "--height"),
    ("a height of 5000 digits", f"nst base.png style.png out --height {'9' * 5000}", 2, "--height"),
    ("a huge height", "nst base.png style.png out --height 1000000000", 2, "--height"),
    (
        "a width too small",
        "nst base.png style.png out --width 1 --style_layers block5_conv1",
        2,
        "--width",
    ),
    ("a negative width", "nst base.png style.png out --width -1", 2, "--width"),
    ("a size in words", "nst base.png style.png out --size big", 2, "--size"),
    ("a size too small", "nst base.png style.png out --size 8", 2, "--size"),
    ("a size of 5000 digits", f"nst base.png style.png out --size {'9' * 5000}", 2, "--size"),
    ("a size and a height", "nst base.png style.png out --size 64 --height 32", 2, "--size"),
    ("a size and a width", "nst base.png style.png out --size 64 --width 32", 2, "--size"),
    ("a long side", "light base.png style.png out --size 48", 0, "48 x 34"),
    ("the content's size", "light base.png style.png out --size content", 0, "56 x 40"),
    ("no iterations", "nst base.png style.png out --iter 0", 2, "--iter"),
    ("a billion iterations", "nst base.png style.png out --iter 1000000000", 2, "--iter"),
    ("no evaluations", "nst base.png style.png out --evaluations 0", 2, "--evaluations"),
    ("a negative seed", "nst base.png style.png out --seed -1", 2, "--seed"),
    ("the largest seed", f"light base.png style.png out --seed {2**63 - 1}", 0, "at_iteration_1"),
    (
        "a seed beyond it",
        f"nst base.png style.png out --seed {2**63}",
        2,
        "--seed: expected at most",
    ),
    ("a seed in hexadecimal", "nst base.png style.png out --seed 0x10", 2, "--seed"),
    ("a negative weight", "nst base.png style.png out --style_weight -1", 2, "--style_weight"),
    ("a weight of NaN", "nst base.png style.png out --tv_weight nan", 2, "--tv_weight"),
    ("an infinite weight", "nst base.png style.png out --content-weight inf", 2, "content_weight"),
    (
        "no weight at all",
        "nst base.png style.png out --style_weight 0 --content_weight 0 --tv_weight 0",
        2,
        "--content_weight, --style_weight, --tv_weight",
    ),
    ("a weight too large", "nst base.png style.png out --style_weight 1e300", 1, "style loss is"),
    ("a huge style scale", "nst base.png style.png out --style_scale 1e200", 2, "--style_scale"),
    ("a style scale of 0", "nst base.png style.png out --style_scale 0", 2, "--style_scale"),
    ("a huge precondition", "nst base.png style.png out --precondition 1e9", 2, "--precondition"),
    ("an unknown layer", "nst base.png style.png out --content_layers conv9", 2, "'conv9'"),
    ("no layer", "nst base.png style.png out --style_layers ,", 2, "--style_layers"),
    (
        "a layer twice",
        "nst base.png style.png out --style_layers block1_conv1,block1_conv1",
        2,
        "twice",
    ),
    (
        "a layer with a bad weight",
        "nst base.png style.png out --style_layers block1_conv1:x",
        2,
        "'x'",
    ),
    (
        "VGG19's layer in VGG16",
        "nst base.png style.png out --network vgg16 --content_layers block3_conv4",
        2,
        "block3_conv4",
    ),
    ("an unknown preset", "nst base.png style.png out --preset keras-7", 2, "'keras-7'"),
    ("an unknown network", "nst base.png style.png out --network vgg17", 2, "'vgg17'"),
    ("an unknown output", "nst base.png style.png out --output jpg", 2, "--output"),
    ("an unknown style loss", "nst base.png style.png out --style_loss grams", 2, "--style_loss"),
    ("unknown taps", "nst base.png style.png out --taps pool", 2, "--taps"),
    ("unknown colors", "nst base.png style.png out --preserve_color yes", 2, "--preserve_color"),
    ("scales that fall", "nst base.png style.png out --scales 1,0.5", 2, "--scales"),
    ("scales without 1", "nst base.png style.png out --scales 0.5", 2, "--scales"),
    ("empty scales", "nst base.png style.png out --scales ''", 2, "--scales"),
    (
        "a share without bounds",
        "nst base.png style.png out --scales .9:1e308,1:1e308",
        2,
        "--scales",
    ),
    ("two blend weights", "nst base.png style.png out --style_blend 1,2", 2, "--style_blend"),
    ("a blend of words", "nst base.png style.png out --style_blend a", 2, "--style_blend"),
    ("clip and precondition", "nst base.png style.png out --clip --precondition 0.2", 2, "--clip"),
    (
        "normalized with L-BFGS",
        "nst base.png style.png out --normalize_gradients",
        2,
        "--normalize_gradients",
    ),
    (
        "normalized and automatic",
        "nst base.png style.png out --normalize_gradients --optimizer adam --auto_weights",
        2,
        "--normalize_gradients, --auto_weights",
    ),
    (
        "a scale in a batch",
        "nst base.png style.png out --targets batch --style_scale 2",
        2,
        "--style_scale",
    ),
    ("the list of presets", "nst --preset list", 0, "keras-2"),
    ("help", "nst --help", 0, "usage"),
    ("an option of a resume", "nst base.png style.png out --from_iteration 1", 2, "with --resume"),
    ("a base without a resume", "nst base.png style.png out --base base.png", 2, "with --resume"),
    ("a start that is missing", "nst base.png style.png out --init grey", 2, "--init"),
    ("a start that is no picture", "nst base.png style.png out --init text.png", 2, "--init"),
    (
        "a start from a picture",
        "light base.png style.png out --init style2.png",
        0,
        "out_at_iteration_1.png",
    ),
    # Masks
    ("a mask alone", "nst base.png style.png out --content_mask two.png", 2, "--style_mask"),
    (
        "a mask that is missing",
        "nst base.png style.png out --content_mask none.png --style_mask two.png",
        2,
        "--content_mask",
    ),
    (
        "a style's mask that is missing",
        "nst base.png style.png out --content_mask two.png --style_mask none.png",
        2,
        "--style_mask",
    ),
    (
        "a photograph for a mask",
        "nst base.png style.png out --content_mask photo.jpg --style_mask two.png",
        2,
        "photo.jpg",
    ),
    (
        "a region no style has",
        "nst base.png style.png out --content_mask two.png --style_mask red.png",
        2,
        "#0000ff",
    ),
    (
        "a region left unpainted",
        "nst base.png style.png out --content_mask two.png --style_mask red.png --unpainted keep",
        0,
        "out_at_iteration_1.png",
    ),
    (
        "a mask with soft edges",
        "nst base.png style.png out --content_mask soft.png --style_mask two.png",
        0,
        "nearest region",
    ),
    (
        "two masks for one style",
        "nst base.png style.png out --content_mask red.png --style_mask red.png,red.png",
        2,
        "--style_mask",
    ),
    (
        "an empty mask among masks",
        "nst base.png style.png style2.png out --content_mask red.png --style_mask red.png,",
        2,
        "--style_mask",
    ),
    (
        "masks in a batch",
        "nst base.png style.png out --content_mask red.png --style_mask red.png --targets batch",
        2,
        "--style_mask",
    ),
    # Filters
    ("filters that are missing", "nst base.png style.png out --weights none.npz", 2, "none.npz"),
    ("a folder for filters", "nst base.png style.png out --weights folder", 2, "--weights"),
    ("a picture for filters", "nst base.png style.png out --weights photo.jpg", 2, "photo.jpg"),
    ("text for .h5", "nst base.png style.png out --weights text.h5", 2, "text.h5"),
    ("text for .npz", "nst base.png style.png out --weights text.npz", 2, "text.npz"),
    ("text for .mat", "nst base.png style.png out --weights text.mat", 2, "text.mat"),
    ("half an .npz", "nst base.png style.png out --weights half.npz", 2, "half.npz"),
    (
        "filters that lack layers",
        "nst base.png style.png out --weights few.npz --style_layers block1_conv2",
        2,
        "block1_conv2",
    ),
    (
        "filters of another shape",
        "nst base.png style.png out --weights shape.npz",
        2,
        "block1_conv1",
    ),
    ("filters of NaN", "nst base.png style.png out --weights nan.npz", 2, "finite"),
    ("filters of objects", "nst base.png style.png out --weights object.npz", 2, "object.npz"),
    ("no arrays in .npz", "nst base.png style.png out --weights none.npz", 2, "none.npz"),
    ("an .h5 without layers", "nst base.png style.png out --weights empty.h5", 2, "empty.h5"),
    ("half an .h5", "nst base.png style.png out --weights half.h5", 2, "half.h5"),
    (
        "filters in half precision",
        "nst base.png style.png out --weights f16.npz",
        0,
        "at_iteration_1",
    ),
    ("an empty name of filters", "nst base.png style.png out --weights ''", 2, "--weights"),
    ("filters of PyTorch's, without it", "nst base.png style.png out --weights f.pth", 2, "f.pth"),
    (
        "ImageNet's without a network",
        "KERAS_HOME=$PWD/k https_proxy=http://127.0.0.1:9 nst base.png style.png out "
        "--weights imagenet",
        2,
        "--weights",
    ),
    (
        "neither ImageNet's nor a network",
        "KERAS_HOME=$PWD/k https_proxy=http://127.0.0.1:9 nst base.png style.png out "
        "--weights auto",
        0,
        "fitted to these pictures",
    ),
    (
        "a damaged file in the cache",
        "mkdir -p k/models; cp text.h5 k/models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5; "
        "KERAS_HOME=$PWD/k https_proxy=http://127.0.0.1:9 nst base.png style.png out "
        "--weights imagenet",
        2,
        "MD5",
    ),
    # Inputs where results go: never, with or without --overwrite
    ("content as the result", "nst base.png style.png base", 2, "base.png is BASE"),
    ("content as the result!", "nst base.png style.png base --overwrite", 2, "base.png is BASE"),
    ("style as the result", "nst base.png style.png style --overwrite", 2, "style.png is REF"),
    (
        "second style as the result",
        "nst base.png style.png style2.png style2",
        2,
        "style2.png is REF",
    ),
    ("the result's own name", "nst base.png style.png base.png --overwrite", 2, "base.png is BASE"),
    ("another spelling", "nst ./base.png style.png folder/../base", 2, "is BASE"),
    ("an absolute path", "nst base.png style.png $PWD/base --overwrite", 2, "is BASE"),
    ("a symbolic link", "ln -s base.png l.png; nst base.png style.png l --overwrite", 2, "is BASE"),
    ("a link as input", "ln -s base.png l.png; nst l.png style.png base", 2, "is BASE"),
    ("a hard link", "ln base.png l.png; nst base.png style.png l --overwrite", 2, "is BASE"),
    ("a folder's link", "ln -s . f; nst base.png style.png f/base --overwrite", 2, "is BASE"),
    (
        "content called an iteration",
        "cp base.png b_at_iteration_3.png; nst b_at_iteration_3.png style.png b --overwrite",
        2,
        "is BASE",
    ),
    ("content as .tif", "cp base.png b.tif; light b.tif style.png b", 0, "b_at_iteration_1.png"),
    (
        "content as .tif, and a result",
        "cp base.png b.tif; nst b.tif style.png b --output tiff16 --overwrite",
        2,
        "is BASE",
    ),
    (
        "content as the record",
        "cp base.png b.json; nst b.json style.png b --overwrite",
        2,
        "is BASE",
    ),
    ("the start", "nst base.png style.png style2 --init style2.png --overwrite", 2, "is --init"),
    (
        "the content's mask",
        "nst base.png style.png two --content_mask two.png --style_mask red.png --overwrite",
        2,
        "is --content_mask",
    ),
    (
        "the style's mask",
        "nst base.png style.png red --content_mask red.png --style_mask ./red.png",
        2,
        "red.png is --content_mask",
    ),
    ("filters", "cp few.npz w.json; nst base.png style.png w --weights w.json", 2, "is --weights"),
    (
        "filters by a link",
        "ln few.npz w.png; nst base.png style.png w --weights few.npz --overwrite",
        2,
        "is --weights",
    ),
    # Somebody else's files where results go
    ("a strange picture", "cp base.png o.png; nst base.png style.png o", 2, "o.png"),
    (
        "a strange picture!",
        "cp base.png o.png; nst base.png style.png o --overwrite",
        2,
        "not one of",
    ),
    (
        "a strange iteration",
        "cp base.png o_at_iteration_0.png; nst base.png style.png o --overwrite",
        2,
        "not one of",
    ),
    ("a strange .json", "echo {} > o.json; nst base.png style.png o --overwrite", 2, "not one of"),
    ("nested .json", "cp deep.json o.json; nst base.png style.png o --overwrite", 2, "not one of"),
    ("a folder .json", "mkdir o.json; nst base.png style.png o --overwrite", 2, "not one of"),
    (
        "a strange folder of the state",
        "mkdir o_state; cp base.png o_state; nst base.png style.png o --overwrite",
        2,
        "o_state",
    ),
    ("a file for the state", "cp base.png o_state; nst base.png style.png o", 2, "PREFIX"),
    ("a broken link's target", "ln -s no o.png; nst base.png style.png o --overwrite", 2, "o.png"),
    (
        "a result worked on since",
        "cp base.png done.png; nst base.png style.png done --overwrite",
        2,
        "done.png is not one of",
    ),
    ("an earlier run", "nst base.png style.png done", 2, "--overwrite, or --resume"),
    ("an earlier run!", "light base.png style.png done --overwrite", 0, "done_at_iteration_1.png"),
    # Prefixes
    ("an empty prefix", "nst base.png style.png ''", 2, "PREFIX: expected a path"),
    ("a new folder", "light base.png style.png new/", 0, "new/base--style_at_iteration_1.png"),
    ("a folder", "light base.png style.png folder", 0, "folder/base--style_at_iteration_1.png"),
    ("this folder", "light base.png style.png .", 0, "base--style_at_iteration_1.png"),
    ("the folder above", "mkdir f; light base.png style.png f/..", 0, "base--style_at_"),
    ("two styles", "light base.png style.png style2.png new/", 0, "new/base--style--style2_at"),
    ("the result's name", "light base.png style.png o.png", 0, "as o_at_iteration_1.png"),
    (
        "the result's name in capitals",
        "light base.png style.png O.PNG",
        0,
        "as O_at_iteration_1.png",
    ),
    ("a line break in the prefix", "light base.png style.png 'a\nb'", 0, r"a\nb_at_iteration_1"),
    ("a code of the terminal", "light base.png style.png '\x1b[31m'", 0, r"\x1b[31m_at_iteration"),
    ("a sign of formats", "light base.png style.png '100%d{}'", 0, "100%d{}_at_iteration_1.png"),
    ("an emoji", "light base.png style.png '😀'", 0, "😀_at_iteration_1.png"),
    ("sixty styles, a folder", f"light base.png {'style.png ' * 60}new/", 0, "new/b--s--s"),
    (
        "long names, a folder",
        f"cp base.png {'b' * 200}.png; cp style.png {'s' * 200}.png; "
        f"light {'b' * 200}.png {'s' * 200}.png new/",
        0,
        "bbb--sss",
    ),
    ("a link to a folder", "ln -s folder f; light base.png style.png f", 0, "f/base--style_at"),
    ("a broken link as the state", "ln -s no o_state; light base.png style.png o", 2, "PREFIX"),
    (
        "a folder as the lock",
        "mkdir -p o_state/lock; light base.png style.png o",
        2,
        "o_state/lock",
    ),
    ("a prefix in capitals", "light base.png style.png DONE", 0, "DONE_at_iteration_1.png"),
    ("a prefix in a file", "nst base.png style.png text.png/o", 2, "PREFIX"),
    ("a prefix below a file", "nst base.png style.png text.png/new/o", 2, "PREFIX"),
    ("a prefix of 300 characters", f"nst base.png style.png {LONG}", 2, "PREFIX"),
    ("a folder of 300 characters", f"nst base.png style.png {LONG}/o", 2, "PREFIX"),
    ("a prefix of 300 with an ending", f"nst base.png style.png {LONG}.png", 2, "PREFIX"),
    ("a prefix just too long", f"nst base.png style.png {'x' * 230}", 2, "PREFIX: expected a name"),
    ("a new folder's name too long", f"nst base.png style.png new/{LONG}/o", 2, "PREFIX"),
    ("a prefix in /proc", "nst base.png style.png /proc/none/o", 2, "PREFIX"),
    ("no such user's home", "nst base.png style.png '~nosuchuser/o' --height 1", 2, "--height"),
    ("a literal tilde", "light base.png style.png '~nosuchuser/o'", 0, "~nosuchuser/o_at"),
    ("a missing home", "nst '~nosuchuser/x.png' style.png o", 2, "~nosuchuser/x.png"),
    ("no home", "-u HOME nst '~/none.png' style.png o", 2, "none.png"),
    ("no home, and a run", "-u HOME light base.png style.png o", 0, "o_at_iteration_1.png"),
    ("a home that is not there", "HOME=/nowhere light base.png style.png o", 0, "o_at_iteration_1"),
    # Memory
    (
        "too little memory",
        "GIB=0.1 nst base.png style.png o --height 3000",
        2,
        "0.1 GiB are there",
    ),
    (
        "too little for a size",
        "GIB=0.1 nst base.png style.png o --size 4000",
        2,
        "--size: expected at",
    ),
    ("by force", "GIB=0.1 light base.png style.png o --force", 0, "o_at_iteration_1.png"),
    # Resume
    ("a resume of nothing", "nst --resume o", 2, "--resume: expected the prefix of a run"),
    ("a resume of ''", "nst --resume ''", 2, "--resume"),
    ("a resume of a long name", f"nst --resume {LONG}", 2, "--resume"),
    ("a resume of an empty folder", "nst --resume folder", 2, "--resume"),
    ("a resume of several runs", "nst --resume .", 2, "expected the prefix of one run"),
    ("a resume with paths", "nst --resume done base.png", 2, "no other paths"),
    ("a resume with a preset", "nst --resume done --preset gatys", 2, "--preset"),
    ("a resume of a finished run", "nst --resume done", 0, "iterations are done"),
    ("a resume of a folder moved", "nst --resume half", 0, "Replayed 4 evaluations"),
    ("a resume by the result's name", "nst --resume done.png", 0, "iterations are done"),
    ("a resume by the record's name", "nst --resume done.json", 0, "iterations are done"),
    ("a stranger where the result goes", "cp photo.jpg half.png; nst --resume half", 2, "half.png"),
    (
        "a stranger where an iteration goes",
        "cp photo.jpg half_at_iteration_1.png; nst --resume half",
        2,
        "half_at_iteration_1.png",
    ),
    ("a retouched result", "cp base.png done.png; nst --resume done --iter 3", 2, "move it"),
    ("a folder where the result goes", "mkdir half.png; nst --resume half", 2, "half.png"),
    (
        "damaged state, wanted",
        "cp few.npz half_state/journal; nst --resume half",
        0,
        "at_iteration_1",
    ),
    ("more iterations", "nst --resume done --iter 3", 0, "done_at_iteration_2.png"),
    ("fewer iterations", "nst --resume done --iter 1", 2, "--iter: expected at least 2"),
    ("back to what is not done", "nst --resume done --from_iteration 2", 2, "0 to 1"),
    ("back before the first", "nst --resume done --from_iteration -1", 2, "--from_iteration"),
    ("another weight", "nst --resume half --style_weight 2", 2, "--style_weight: expected as"),
    ("another height", "nst --resume half --height 64 --overwrite", 2, "--height: expected 32"),
    ("another size", "nst --resume half --size 64 --overwrite", 2, "--size: expected ''"),
    ("an unknown layer later", "nst --resume half --style_layers x --overwrite", 2, "'x'"),
    ("the content removed", "rm base.png; nst --resume half", 2, "--base PATH"),
    ("the style removed", "rm style.png; nst --resume half", 2, "--styles PATH"),
    (
        "the content moved and named",
        "mv base.png folder/x.png; nst --resume half --base folder/x.png",
        0,
        "Replayed 4",
    ),
    (
        "the style moved and named",
        "mv style.png folder/x.png; nst --resume half --styles folder/x.png",
        0,
        "Replayed 4",
    ),
    ("another content named", "nst --resume half --base style2.png", 2, "SHA-256"),
    ("another style named", "nst --resume half --styles style2.png", 2, "SHA-256"),
    (
        "two styles named",
        "nst --resume half --styles style.png style2.png",
        2,
        "expected 1 pictures",
    ),
    ("a missing base named", "nst --resume half --base none.png", 2, "none.png"),
    ("a changed content", "cp style2.png base.png; nst --resume half", 2, "a changed file"),
    (
        "a record cut",
        "head -c 900 half.json > x; mv x half.json; nst --resume half",
        2,
        "whole record",
    ),
    ("a record changed", "sed -i s/random/fitted/ half.json; nst --resume half", 2, "checksum"),
    ("somebody's .json", "echo {} > o.json; nst --resume o", 2, "not a record"),
    ("a record of nested lists", "cp deep.json o.json; nst --resume o", 2, "o.json"),
    ("a record of the future", "cp future.json o.json; nst --resume o", 2, "version 99"),
    ("an odd record", "cp odd.json o.json; nst --resume o", 2, "o.json"),
    ("the image removed", "rm -r done_state; nst --resume done --iter 3", 2, "iteration_1.npy"),
    (
        "a resume onto its input",
        "cp base.png half.png; nst --resume half --base half.png",
        2,
        "is BASE",
    ),
    ("filters moved", "mv good.npz folder/; nst --resume filed --iter 3", 2, "--weights"),
    ("filters changed", "cp shape.npz good.npz; nst --resume filed --iter 3", 2, "another file"),
    (
        "filters beside the record",
        "cp base.png style.png folder/; mv good.npz filed* folder/; "
        "nst --resume folder/filed --iter 3",
        0,
        "filed_at_iteration_2",
    ),
    # Installations
    ("an unknown backend", "KERAS_BACKEND=theano nst base.png style.png o", 2, "KERAS_BACKEND"),
    ("a backend not installed", "KERAS_BACKEND=jax nst base.png style.png o", 2, "KERAS_BACKEND"),
    (
        "a keras.json that cannot be read",
        "mkdir k; echo '{' > k/keras.json; KERAS_HOME=$PWD/k cold base.png style.png o",
        2,
        "keras.json: expected a configuration of Keras that can be read",
    ),
    (
        "a keras.json that is a list",
        "mkdir k; echo '[]' > k/keras.json; KERAS_HOME=$PWD/k cold base.png style.png o",
        2,
        "keras.json",
    ),
    (
        "a keras.json of an odd floatx",
        'mkdir k; echo \'{"floatx": "int8"}\' > k/keras.json; '
        "KERAS_HOME=$PWD/k cold base.png style.png o",
        2,
        "keras.json",
    ),
    (
        "a keras.json of another backend",
        'mkdir k; echo \'{"backend": "theano"}\' > k/keras.json; '
        "KERAS_HOME=$PWD/k cold base.png style.png o",
        2,
        "keras.json",
    ),
    # Names and streams
    ("a name in Japanese", "ENCODING=cp1252 light base.png style.png 東京", 0, r"\u6771\u4eac_at"),
    ("a missing name in Japanese", "ENCODING=ascii nst 東京.png style.png o", 2, r"\u6771\u4eac"),
    (
        "a name that is not UTF-8",
        "light base.png style.png '\udcff'",
        0,
        r"\udcff_at_iteration_1.png",
    ),
    ("a missing name not in UTF-8", "nst '\udcff.png' style.png o", 2, r"\udcff.png"),
    ("no standard output", "CLOSED=1 light base.png style.png o", 0, ""),
    ("no standard error", "CLOSED=2 light base.png style.png o", 0, "o_at_iteration_1.png"),
    ("neither", "CLOSED=12 light base.png style.png o", 0, ""),
    ("neither, and bad input", "CLOSED=12 nst none.png style.png o", 2, ""),
    ("neither, and a bad option", "CLOSED=12 nst --none", 2, ""),
]


# Folders


def make_pictures(folder: Path) -> None:
    """Pictures of all kinds; see the names in SITUATIONS."""
    base = draw(40, 56, seed=1)
    base.save(folder / "base.png")
    draw(48, 36, seed=2).save(folder / "style.png")
    draw(33, 70, seed=3).save(folder / "style2.png")
    (folder / "png.jpg").write_bytes((folder / "base.png").read_bytes())
    (folder / "torn.png").write_bytes((folder / "base.png").read_bytes()[:3000])
    draw(64, 64, seed=1).save(folder / "photo.jpg")
    (folder / "torn.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:700])
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    draw(300, 17, seed=1).save(folder / "narrow.png")
    Image.new("RGB", (40, 40), "white").save(folder / "white.png")
    transparent = base.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(base.size))
    transparent.save(folder / "alpha.png")
    frames = [draw(40, 56, seed) for seed in (5, 6)]
    for name in ("animated.gif", "animated.png", "animated.webp", "pages.tif"):
        base.save(folder / name, save_all=True, append_images=frames)
    pixels = np.arange(40 * 56, dtype=np.uint16).reshape(40, 56) * 29
    Image.fromarray(pixels).save(folder / "gray16.png")
    real = np.random.default_rng(0).random((40, 56), np.float32)
    Image.fromarray(real).save(folder / "float.tif")
    real[3, 3:6] = np.nan, np.inf, -np.inf
    Image.fromarray(real).save(folder / "nan.tif")
    base.convert("LA").save(folder / "la.png")
    base.quantize(16).save(folder / "clear.gif", transparency=3)
    base.convert("1").save(folder / "bit.png")
    base.save(folder / "profile.png", icc_profile=b"no profile")
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(folder / "invisible.png")
    base.convert("CMYK").save(folder / "cmyk.jpg")
    base.quantize(7).save(folder / "palette.gif")
    base.save(folder / "turned.jpg", exif=exif(struct.pack("<HHII", 0x0112, 3, 1, 6)))
    resolution = struct.pack("<HHII", 0x011A, 10, 1, 26), struct.pack("<ii", -72, 1)
    base.save(folder / "exif.jpg", exif=exif(*resolution))
    base.save(folder / "cut_exif.jpg", exif=exif(struct.pack("<HHII", 0x010E, 2, 9999, 9999)))
    bomb = bytearray((folder / "base.png").read_bytes())
    bomb[16:24] = struct.pack(">II", 100_000, 100_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    (folder / "bomb.png").write_bytes(bomb)
    for name in ("heic", "avif"):
        brand = {"heic": b"heic", "avif": b"avif"}[name]
        head = struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand
        (folder / f"fake.{name}").write_bytes(head + bytes(range(256)))
    masks = {"two": ["red", "blue"], "red": ["red", "red"]}
    for name, (left, right) in masks.items():
        mask = Image.new("RGB", (40, 30), left)
        mask.paste(Image.new("RGB", (20, 30), right), (20, 0))
        mask.save(folder / f"{name}.png")
    large = Image.open(folder / "two.png").resize((41, 31), Image.Resampling.BICUBIC)
    large.rotate(10, Image.Resampling.BICUBIC, fillcolor="red").save(folder / "soft.png")


def exif(entry: bytes, data: bytes = b"") -> bytes:
    """EXIF data of one entry, as the TIFF 6.0 specification has it."""
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + data


def make_others(folder: Path) -> None:
    """Files that are no pictures."""
    (folder / "folder").mkdir()
    (folder / "empty.png").touch()
    for name in ("text.png", "text.h5", "text.npz", "text.mat", "f.pth"):
        (folder / name).write_text("This is neither a picture nor a file of filters.")
    (folder / "page.jpg").write_text("<!DOCTYPE html><title>404</title>")
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "deep.json").write_text("[" * 100_000)
    kernel, bias = np.zeros((3, 3, 3, 64), np.float32), np.zeros(64, np.float32)
    few = {"block1_conv1/kernel": kernel, "block1_conv1/bias": bias}
    np.savez(folder / "few.npz", **few)
    np.savez(folder / "shape.npz", **{**few, "block1_conv1/kernel": kernel[:, :, :1]})
    kernel = np.random.default_rng(1).normal(0, 0.3, kernel.shape).astype(np.float32)
    np.savez(folder / "good.npz", **{**few, "block1_conv1/kernel": kernel})
    half = {name: array.astype(np.float16) for name, array in few.items()}
    np.savez(folder / "f16.npz", **{**half, "block1_conv1/kernel": kernel.astype(np.float16)})
    np.savez(folder / "nan.npz", **{**few, "block1_conv1/kernel": kernel * np.nan})
    np.savez(folder / "object.npz", **{**few, "block1_conv1/kernel": np.array({}, object)})
    with h5py.File(folder / "empty.h5", "w"):
        pass
    with h5py.File(folder / "half.h5", "w") as file:
        file["block1_conv1/kernel"] = kernel
    (folder / "half.h5").write_bytes((folder / "half.h5").read_bytes()[:600])
    (folder / "half.npz").write_bytes((folder / "good.npz").read_bytes()[:3000])


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The real program, by kind."""
    folder = tmp_path_factory.mktemp("printed")
    started = {kind: Program(kind, folder) for kind in ("warm", "cold")}
    yield started
    for program in started.values():
        program.close()


@pytest.fixture(scope="module")
def template(programs, tmp_path_factory):
    """A folder with pictures, filters and runs, renamed after these were made."""
    folder = tmp_path_factory.mktemp("template") / "before"
    folder.mkdir()
    make_pictures(folder)
    make_others(folder)
    warm, usual = programs["warm"], with_usual(["base.png", "style.png"])
    assert warm([*usual, "done"], folder).code == 0
    assert warm([*usual, "half"], folder, kill_after=4).code == -9
    filed = with_usual(["base.png", "style.png", "filed", "--weights", "good.npz"])
    assert warm(filed, folder).code == 0
    make_odd_records(folder)
    return folder.rename(folder.with_name("after"))


def make_odd_records(folder: Path) -> None:
    """Records with a right checksum that no program of today writes."""
    record = json.loads((folder / "done.json").read_text())
    del record["checksum"]
    for name, changes in {"future": {"version": 99}, "odd": {"sizes": []}}.items():
        changed = record | changes
        (folder / f"{name}.json").write_text(json.dumps({**changed, "checksum": checksum(changed)}))


def with_usual(arguments: list[str]) -> list[str]:
    """Arguments with the options of a quick run, where they have no others for the same."""
    given = {argument.split("=")[0].replace("-", "_") for argument in arguments}
    added = [(k, v) for k, v in QUICK.items() if k.replace("-", "_") not in given]
    if given & {"__size", "__width"}:
        added = [(name, value) for name, value in added if name != "--height"]
    return [*(word for pair in added for word in pair), *arguments]


def state_of(folder: Path) -> dict[str, tuple]:
    """All below a folder: kind, and content and time of the last change of files.

    But for the lock, which a killed run leaves and any other takes away.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        status, content = path.lstat(), ()
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest(), status.st_mtime_ns
        if path.name != "lock":
            found[str(path.relative_to(folder))] = (status.st_mode, *content)
    return found


# The table


def order_of(command: str, folder: Path) -> tuple[str, list[str], dict]:
    """Kind of program, its arguments, and what served_program.py is to know besides."""
    words = shlex.split(command.replace("$PWD", str(folder)))
    order = {"environment": {}}
    while words[0] not in ("nst", "light", "cold"):
        word = words.pop(0)
        name, _, value = word.partition("=")
        if word == "-u":
            order["environment"][words.pop(0)] = None
        elif name == "GIB":
            order["gibibytes"] = float(value)
        elif name == "ENCODING":
            order["encoding"] = value
        elif name == "CLOSED":
            order["closed"] = [int(digit) for digit in value]
        else:
            order["environment"][name] = value
    kind, *arguments = words
    order["light"] = kind == "light"
    cold = kind == "cold" or "KERAS_BACKEND" in order["environment"]
    paths = len(arguments) > 2 and "--resume" not in arguments
    usual = with_usual(arguments) if paths else arguments
    return "cold" if cold else "warm", usual, order


@pytest.mark.parametrize(
    "command, code, said", [row[1:] for row in SITUATIONS], ids=[row[0] for row in SITUATIONS]
)
def test_situation(command, code, said, programs, template, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(template, folder, symlinks=True)
    *preparations, command = command.split("; ")
    for preparation in preparations:
        subprocess.run(preparation, shell=True, cwd=folder, check=True)
    kind, arguments, order = order_of(command, folder)
    before = state_of(tmp_path)
    ended = programs[kind](arguments, folder, **order)
    after = state_of(tmp_path)
    assert ended.code == code, ended
    assert "Traceback" not in ended.out + ended.err
    if code == 0:
        assert ended.err == "" and said in ended.out
        inputs = [n for n in before if not n.startswith(RUNS)]
        assert all(after[name][:2] == before[name][:2] for name in inputs)
    elif 2 in order.get("closed", []):
        assert ended.out == ended.err == ""
        assert after == before
    else:
        assert ended.err.count("\n") == 1 and ended.err.endswith("\n"), ended
        assert ended.err.startswith("neural_style_transfer.py: " + ("error: " if code == 2 else ""))
        assert said in ended.err, ended
        if code == 2:
            assert after == before
