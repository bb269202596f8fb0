"""Files that are read while somebody writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import durable
from orchestration.durable import LineWriter, read_bytes, read_last_lines, read_lines, read_whole
from orchestration.errors import JournalError


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
