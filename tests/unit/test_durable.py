"""Files that are written whole or line by line, and read while somebody writes them."""

import errno
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import durable
from orchestration.durable import (
    LineWriter,
    create_whole,
    from_json,
    read_bytes,
    read_last_lines,
    read_lines,
    read_whole,
    to_json,
    write_whole,
)
from orchestration.errors import JournalError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(texts=st.lists(st.text(max_size=40)), torn=st.sampled_from(["", '{"n', '{"n": 1}']), chunk=st.integers(1, 64))
def test_lines_come_backwards_whatever_the_chunks(texts, torn, chunk, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "records.jsonl"
    writer = LineWriter(path)
    for text in texts:
        writer.append({"text": text})
    writer.close()
    with path.open("a") as file:
        file.write(torn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "_CHUNK_BYTES", chunk)
        assert [record["text"] for record in read_last_lines(path)] == texts[::-1]


def test_the_last_lines_of_a_long_file_cost_no_more_than_those_of_a_short_one(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"not a record\n" * 100_000)
    writer = LineWriter(path)
    writer.append({"step": 7})
    assert next(read_last_lines(path)) == {"step": 7}  # of the wrong lines before it none was looked at
    assert list(read_last_lines(tmp_path / "missing.jsonl")) == []


def test_a_damaged_line_within_is_skipped_backwards_too(tmp_path, caplog):
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    assert [record["a"] for record in read_last_lines(path)] == [3, 1]
    assert [record["a"] for record in read_lines(path)[0]] == [1, 3]
    assert "not complete" in caplog.text


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_a_file_is_read_whole(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert read_bytes(path) == b"x" * size


def test_what_cannot_be_read_is_named(tmp_path):
    assert read_bytes(tmp_path / "missing") is None
    with pytest.raises(JournalError, match=f"{tmp_path}: Is a directory"):
        read_whole(tmp_path)
    (tmp_path / "text").write_bytes(b'"\xff"')
    with pytest.raises(JournalError, match="not valid JSON"):
        read_whole(tmp_path / "text")


def test_after_a_full_disk_the_file_ends_where_it_ended(tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl"
    writer = LineWriter(path)
    writer.append({"step": 1})

    def refuse(descriptor, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "write", refuse)
        with pytest.raises(JournalError, match="No space left"):
            writer.append({"step": 2})
    writer.append({"step": 3})
    assert [record["step"] for record in read_lines(path)[0]] == [1, 3]


@given(JSON)
def test_every_plain_value_survives_strict_json(value):
    text = to_json(value)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert repr(from_json(text)) == repr(value)


@given(cut=st.integers(1, 60))
def test_a_torn_line_is_skipped_and_the_next_one_starts_fresh(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("torn") / "metrics.jsonl"
    writer = LineWriter(path)
    for step in range(3):
        writer.append({"step": step, "metrics": {"a": 1.0}})
    writer.close()
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    LineWriter(path).append({"step": 9, "metrics": {}})
    read = [record["step"] for record in read_lines(path)[0]]
    assert read[-1] == 9
    assert read[:-1] == list(range(len(read) - 1))
    assert len(read) - 1 >= content[:-cut].count(b"\n")


def test_a_line_that_is_being_written_is_not_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a"')
    records, offset = read_lines(path)
    with path.open("ab") as file:
        file.write(b": 2}\n")
    assert (records, read_lines(path, offset)[0]) == ([{"a": 1}], [{"a": 2}])


def test_a_full_disk_leaves_the_lines_before_and_names_the_place(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    writer = LineWriter(path)
    writer.append({"step": 1})
    whole, write = path.read_bytes(), os.write
    answers = iter([5])

    def full(descriptor, data):
        for count in answers:
            return write(descriptor, data[:count])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(JournalError, match=r"metrics\.jsonl: No space left on device; free space"):
            writer.append({"step": 2})
    assert path.read_bytes() == whole
    writer.append({"step": 2})
    assert [record["step"] for record in read_lines(path)[0]] == [1, 2]


def test_a_whole_file_is_old_or_new_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "file"
    write_whole(path, "old")

    def break_off(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(JournalError, match="No space left on device"):
        write_whole(path, break_off)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_a_file_is_created_once(tmp_path):
    assert create_whole(tmp_path / "result.json", "first")
    assert not create_whole(tmp_path / "result.json", "second")
    assert (tmp_path / "result.json").read_text() == "first"


def test_a_new_writer_waits_for_the_lines_of_the_one_before_it(tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl"
    first = LineWriter(path)
    first.append({"step": 1})
    first.close()
    synced = []
    monkeypatch.setattr(durable.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    LineWriter(path).sync()
    assert synced == [path.stat().st_ino]
    LineWriter(tmp_path / "missing.jsonl").sync()
    assert len(synced) == 1 and not (tmp_path / "missing.jsonl").exists()
