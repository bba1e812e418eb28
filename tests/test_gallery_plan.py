"""style_transfer/gallery/plan.py: which pictures, and what their results are called."""

import shutil

import pytest

from style_transfer.errors import InputError
from style_transfer.gallery import plan
from style_transfer.gallery.plan import cells, find_pictures, sources


def names(paths):
    return [path.name for path in paths]


def test_pictures_of_a_folder_in_the_order_of_people(tmp_path):
    for name in ("10.jpg", "9.jpg", ".hidden.jpg", "notes.txt", "B.PNG"):
        (tmp_path / name).touch()
    (tmp_path / "more.jpg").mkdir()
    assert names(find_pictures(str(tmp_path), "PHOTOS", tmp_path / "out")) == [
        "9.jpg",
        "10.jpg",
        "B.PNG",
    ]


def test_pictures_by_pattern_list_and_commas(folders, monkeypatch):
    monkeypatch.chdir(folders)
    out = folders / "out"
    (folders / "list.txt").write_text("# mine\nphotos/b.png\n\nphotos/a.png\nphotos/b.png\n")
    assert names(find_pictures("photos/[ab].png", "PHOTOS", out)) == ["a.png", "b.png"]
    assert names(find_pictures("list.txt", "PHOTOS", out)) == ["b.png", "a.png"]
    assert names(find_pictures("photos/c.png, paintings", "PHOTOS", out)) == [
        "c.png",
        "x.png",
        "y.png",
    ]
    comma = folders / "photos" / "d,e.png"
    shutil.copy(folders / "photos" / "a.png", comma)
    assert find_pictures(str(comma), "PHOTOS", out) == [comma]


@pytest.mark.parametrize("text", ["nothing", "photos/*.gif", "missing.txt", ""])
def test_no_pictures(folders, monkeypatch, text):
    monkeypatch.chdir(folders)
    (folders / "missing.txt").write_text("photos/z.png\n")
    with pytest.raises(InputError, match="PHOTOS: expected "):
        find_pictures(text, "PHOTOS", folders / "out")


def test_results_are_no_pictures_of_patterns_and_folders(folders):
    out = folders / "photos" / "out"
    out.mkdir()
    (out / "r.png").touch()
    found = find_pictures(str(folders / "photos" / "**" / "*.png"), "PHOTOS", out)
    assert names(found) == ["a.png", "b.png", "c.png"]
    with pytest.raises(InputError, match="OUT: expected a folder other than PHOTOS"):
        find_pictures(str(folders / "photos"), "PHOTOS", folders / "photos")


def test_two_pictures_of_one_name_get_names_of_their_own(folders):
    other = folders / "other"
    other.mkdir()
    shutil.copy(folders / "photos" / "b.png", other / "A.jpg")
    paths = [folders / "photos" / "a.png", other / "A.jpg", folders / "photos" / "c.png"]
    first, second, third = sources(paths, {})
    assert (first.name, second.name) == (f"a-{first.sha256[:8]}", f"A-{second.sha256[:8]}")
    assert third.name == "c"
    # What was there before keeps its name.
    kept, new, _ = sources(paths, {("a", first.sha256): "a"})
    assert (kept.name, new.name) == ("a", f"A-{second.sha256[:8]}")


def test_names_of_cells_are_their_own():
    one, two = plan.Source("a", "1", "11" * 32), plan.Source("a--b", "2", "22" * 32)
    three, four = plan.Source("b--c", "3", "33" * 32), plan.Source("c", "4", "44" * 32)
    found = [cell.name for cell in cells([one, two], [three, four], pair=False)]
    assert found == ["a--b--c", "a--c", "a--b--b--c", "a--b--c-22224444"]
    with pytest.raises(InputError, match="--pair: expected as many"):
        cells([one, two], [three], pair=True)
