"""The journal gives back what was written, and notices damage."""

from pathlib import Path

import numpy as np
import pytest
from made_runs import begun, carry_out, image, new_record, next_size, record_of

from style_transfer.presets import make_settings
from style_transfer.runs.journal import Journal, JournalMismatch
from style_transfer.runs.record import PictureFile
from style_transfer.schedule import Size
from style_transfer.vgg import FilterSource

ANSWERS = [
    (np.array([i, 0.5, 0.25], np.float32), image(100 + i), 0.125 * i) for i in range(3)
]  # terms, gradient, seconds


def written_journal(path: Path, key: str = "this") -> bytes:
    journal = Journal(path, key)
    for number, (terms, gradient, seconds) in enumerate(ANSWERS):
        assert journal.answer(image(number)) is None
        journal.append(image(number), terms, gradient, seconds)
    journal.close()
    return path.read_bytes()


def answers_of(path: Path, key: str = "this") -> int:
    """How many of the answers a journal gives; checks that they are the right ones."""
    journal = Journal(path, key)
    count = 0
    while count < len(ANSWERS) and (kept := journal.answer(image(count))):
        for value, expected in zip(kept, ANSWERS[count], strict=True):
            np.testing.assert_array_equal(value, expected)
        count += 1
    assert count == journal.replayed
    journal.close()
    return count


def test_a_journal_gives_the_answers_in_order_and_then_none(tmp_path):
    written_journal(tmp_path / "journal")
    assert answers_of(tmp_path / "journal") == 3
    journal = Journal(tmp_path / "journal", "this")
    assert journal.found
    for number in range(3):
        assert journal.answer(image(number))
    assert journal.answer(image(3)) is None
    journal.close()


def test_each_answer_is_in_the_systems_hands_at_once(tmp_path):
    journal = Journal(tmp_path / "journal", "this")
    sizes = []
    for number, (terms, gradient, seconds) in enumerate(ANSWERS):
        journal.append(image(number), terms, gradient, seconds)
        sizes.append((tmp_path / "journal").stat().st_size)
    journal.close()
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > image(0).nbytes
    assert (tmp_path / "journal").stat().st_size == sizes[2]


def test_a_journal_cut_anywhere_gives_its_whole_answers(tmp_path):
    path = tmp_path / "journal"
    whole = written_journal(path)
    header = whole.index(b"\n") + 1
    each = (len(whole) - header) // 3
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        kept = max(0, length - header) // each
        assert answers_of(path) == kept
        journal = Journal(path, "this")
        for number in range(kept):
            journal.answer(image(number))
        for number in range(kept, 3):
            assert journal.answer(image(number)) is None
            journal.append(image(number), *ANSWERS[number])
        journal.close()
        assert path.read_bytes() == whole


def test_a_flipped_bit_ends_a_journal_before_its_answer(tmp_path):
    path = tmp_path / "journal"
    whole = written_journal(path)
    header = whole.index(b"\n") + 1
    each = (len(whole) - header) // 3
    for place in range(header, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert answers_of(path) == (place - header) // each


def test_a_hole_of_zeros_at_the_end_of_a_journal_is_dropped(tmp_path):
    # What a crash of the machine, not of the program, can leave in place of the last blocks.
    path = tmp_path / "journal"
    whole = written_journal(path)
    path.write_bytes(whole + bytes(4096))
    assert answers_of(path) == 3
    Journal(path, "this").close()
    journal = Journal(path, "this")
    for number in range(4):
        journal.answer(image(number))
    journal.close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"\n", b"foreign\n" * 99, bytes(999), b"neural_style"])
def test_a_foreign_journal_is_not_found_and_written_anew(tmp_path, content):
    path = tmp_path / "journal"
    path.write_bytes(content)
    journal = Journal(path, "this")
    assert not journal.found
    assert journal.answer(image(0)) is None
    journal.close()
    assert answers_of(path) == 0


def test_a_journal_of_other_settings_is_not_found(tmp_path):
    written_journal(tmp_path / "journal", key="that")
    journal = Journal(tmp_path / "journal", "this")
    assert not journal.found and journal.answer(image(0)) is None
    journal.close()


def test_the_answer_to_another_question_is_not_given(tmp_path):
    written_journal(tmp_path / "journal")
    journal = Journal(tmp_path / "journal", "this")
    assert journal.answer(image(0))
    other = image(1)
    other[0, 0, 0, 0] = np.nextafter(other[0, 0, 0, 0], np.float32(1e9))
    with pytest.raises(JournalMismatch):
        journal.answer(other)
    journal.close()


def test_the_answer_to_an_image_of_another_size_is_not_given(tmp_path):
    written_journal(tmp_path / "journal")
    journal = Journal(tmp_path / "journal", "this")
    with pytest.raises(JournalMismatch):
        journal.answer(image(0, rows=9))
    journal.close()


JOURNAL_CHANGES = {
    "content": lambda record: setattr(record.content, "sha256", "other"),
    "style": lambda record: setattr(record.styles[0], "sha256", "other"),
    "start": lambda record: setattr(record, "start", PictureFile("init.png", "4")),
    "filters": lambda record: setattr(record, "filters", FilterSource("file", "f", "other")),
    "convention": lambda record: setattr(
        record, "filters", FilterSource("random", None, "3", "torch")
    ),
    "settings": lambda record: setattr(record, "settings", make_settings(height=300)),
    "size": lambda record: record.sizes.__setitem__(0, Size(0, 6, 7, 0, 4)),
    "library": lambda record: record.versions.append({"keras": "other"}),
}


@pytest.mark.parametrize("change", [None, *JOURNAL_CHANGES])
def test_a_journal_belongs_to_all_that_its_answers_depend_on(tmp_path, change):
    prefix = str(tmp_path / "run")
    with begun(new_record(), prefix, overwrite=True) as run:
        carry_out(run, 0)
        question = image(9)
        run.journal.append(question, *ANSWERS[0])
    record = record_of(prefix)
    if change:
        JOURNAL_CHANGES[change](record)
    else:  # more iterations are still the same run, and so are filters of another name
        record.settings = make_settings(iter=20)
        record.filters = FilterSource("file", "/elsewhere", "3")
    with begun(record, prefix, done=0) as run:
        next_size(run)
        assert run.journal.found == (not change)
        assert bool(run.journal.answer(question)) == (not change)
