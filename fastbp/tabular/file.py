"""Tables in files: CSV and its kin, compressed or not, Parquet, standard input; whole or in parts.

Nothing is downloaded, and no cell is changed silently: a column whose first rows are all numbers is
read as numbers where all its cells are, any other stays text.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from fastbp.tabular import frame
from fastbp.tabular.frame import Frame, Mask

STDIN = "-"
SEPARATORS = (",", ";", "\t", "|")
_HEAD = 1 << 18  # bytes to judge by
_SAMPLE = 1000  # rows of them
_CELLS = 1_000_000  # in a part of a table, about
_SURPLUS = 3  # cells of a row beyond the columns that do not refuse the file
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TableFile:
    """An open table.

    Args:
        path: of a file, or "-" for standard input.
        separator: between the cells of a line; None finds it among , ; tab and |.
        decimal: the decimal point.
        na_values: cells that mean a missing value, beside pandas's own (empty, NA, NaN, null, ...).
        encoding: of the text; None for UTF-8, or what a byte order mark says.
        has_header: whether the first line names the columns; if not, they are column_1, ...

    Attributes:
        columns: their names.
        notes: what is worth saying.

    Raises:
        ValueError: it is empty, has no or repeated names, is no text of this encoding.
        OSError: it cannot be read.
        ImportError: what reads it is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        separator: str | None = None,
        decimal: str = ".",
        na_values: Sequence[str] = (),
        encoding: str | None = None,
        has_header: bool = True,
    ) -> None:
        frame.import_pandas()
        self.path, self.decimal, self.na_values = os.fspath(path), decimal, list(na_values)
        self.name = "standard input" if self.path == STDIN else self.path
        self.has_header, self.notes = has_header, list[str]()
        self._file = _standard_input() if self.path == STDIN else open(self.path, "rb")
        try:
            head = self._file.read(_HEAD)
            self._parquet = _parquet(self._file, head) if head[:4] == b"PAR1" else None
            if self._parquet is not None:
                self.columns = [str(name) for name in self._parquet.schema_arrow.names]
            else:
                self._open_text(_Joined(head, self._file), head, separator, encoding)
            frame.check_unique(self.columns)
        except BaseException as error:
            self.close()
            if isinstance(error, ValueError | csv.Error):
                raise ValueError(f"{self.name}: {error}") from None
            if _is_damage(error):
                raise ValueError(f"{self.name}: the compressed file is damaged ({error})") from None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.path != STDIN:
            self._file.close()

    def read(self, *, text: Sequence[str] = ()) -> Frame:
        """The whole table; the columns of `text` as text, whatever they hold.

        Raises ValueError: no rows, a row with more cells than columns.
        """
        tables = []
        for table, broken in self._parts(None, text):
            if broken.any():
                rows, n = frame.rows_shown(broken, table), len(self.columns)
                raise ValueError(f"{self.name}: more cells than the {n} columns in {rows}")
            tables.append(table)
        return tables[0] if len(tables) == 1 else frame.import_pandas().concat(tables)

    def parts(self, *, text: Sequence[str] = ()) -> Iterator[tuple[Frame, Mask]]:
        """The table in parts of about a million cells, the index running on, and which of their
        rows have more cells than there are columns.

        Raises ValueError: no rows, many cells more.
        """
        return self._parts(max(_CELLS // len(self.columns), 1000), text)

    def _parts(self, n_rows: int | None, text: Sequence[str]) -> Iterator[tuple[Frame, Mask]]:
        parse = self._text_parts if self._parquet is None else self._arrow_parts
        is_empty = True
        for part, broken in parse(n_rows, text):
            if len(part):
                is_empty = False
                yield part, broken
        if is_empty:
            raise ValueError(f"{self.name} has a header and no rows")

    # text

    def _open_text(
        self, stream: _Joined, head: bytes, separator: str | None, encoding: str | None
    ) -> None:
        plain = _decompressed(stream, head)
        if plain is not stream:
            head = plain.read(_HEAD)
            stream = _Joined(head, plain)
        if encoding is None:
            encoding = "utf-16" if head[:2] in _UTF16 else "utf-8-sig"
        self._stream, self.encoding = stream, encoding
        lines = self._decoded(head)
        if not lines.strip():
            raise ValueError("the file is empty")
        if lines.lstrip().startswith(("[{", '{"')):
            raise ValueError("this is JSON: save the table as CSV")
        self.separator = separator or _find_separator(lines)
        rows = list(csv.reader(io.StringIO(lines), delimiter=self.separator, skipinitialspace=True))
        blank = next(i for i, row in enumerate(rows) if row)
        self._n_skipped = blank + 1 if self.has_header else 0
        rows = [row for row in rows if row]
        first = [cell.strip() for cell in rows[0]]
        self.columns = first if self.has_header else [f"column_{i + 1}" for i in range(len(first))]
        if self.has_header:
            rows = rows[1:]
            self._check_header(first)
        self._text = _text_columns(self.columns, rows[:_SAMPLE], self)

    def _decoded(self, head: bytes) -> str:
        """The whole lines of the first bytes."""
        try:
            decoder = codecs.getincrementaldecoder(self.encoding)()
            text = decoder.decode(head, final=len(head) < _HEAD)
        except LookupError:
            raise ValueError(f"unknown encoding {self.encoding!r}") from None
        except UnicodeDecodeError as error:
            raise self._not_text(error) from None
        if "\0" in text:
            raise ValueError("this is no text: a byte is 0")
        return text if len(head) < _HEAD else text[: text.rfind("\n") + 1] or text

    def _not_text(self, error: UnicodeDecodeError) -> ValueError:
        name = "UTF-8" if self.encoding == "utf-8-sig" else self.encoding
        return ValueError(
            f"not {name} text (byte {error.start}): pass --encoding, such as --encoding cp1252"
        )

    def _check_header(self, names: list[str]) -> None:
        """Notes of what may be none, and names for columns without."""
        for position, name in enumerate(names):
            if not name:  # the index that `DataFrame.to_csv` writes, or a separator at the end
                names[position] = given = f"Unnamed: {position}"  # as pandas calls it
                text = f"column {position + 1} has no name and is called {given!r}"
                self.notes.append(f"{text}; --drop {given!r} leaves it out")
        if names != [str(i) for i in range(len(names))] and self.header_is_numbers():
            self.notes.append(
                f"the first line, taken for names of columns, is mostly numbers "
                f"({', '.join(names[:5])}): if it is data, pass --no-header"
            )

    def header_is_numbers(self) -> bool:
        """Whether more than half of the names are numbers, so that the first line may be data."""
        numbers = [not np.isnan(frame.number_of(name, self.decimal)) for name in self.columns]
        return 2 * sum(numbers) > len(numbers)

    def _text_parts(self, n_rows: int | None, text: Sequence[str]) -> Iterator[tuple[Frame, Mask]]:
        pd = frame.import_pandas()
        kinds = {name: str for name in self.columns if name in text or name in self._text}
        surplus = [f"\0{i}" for i in range(_SURPLUS)]
        try:
            reader = pd.read_csv(
                self._stream, sep=self.separator, header=None, skiprows=self._n_skipped,
                names=[*self.columns, *surplus], dtype=kinds | dict.fromkeys(surplus, str),
                decimal=self.decimal, na_values=self.na_values, encoding=self.encoding,
                skipinitialspace=True, low_memory=False, chunksize=n_rows,
            )  # fmt: skip
            for part in reader if n_rows else [reader]:
                if not isinstance(part.index, pd.RangeIndex):  # pandas made one of the first cells
                    n = len(self.columns)
                    raise ValueError(f"{self.name}: far more cells than the {n} columns in a row")
                broken = part[surplus].notna().any(axis=1).to_numpy()
                yield part[self.columns], broken
        except pd.errors.EmptyDataError:
            return
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.name}: {self._not_text(error)}") from None
        except pd.errors.ParserError as error:
            raise ValueError(f"{self.name}: {self._unparsed(str(error))}") from None
        except Exception as error:
            if _is_damage(error):
                raise ValueError(f"{self.name}: the compressed file is damaged ({error})") from None
            raise

    def _unparsed(self, text: str) -> str:
        found = re.search(r"Expected \d+ fields in line (\d+), saw (\d+)", text)
        if found:
            return f"line {found[1]} has {found[2]} cells, there are {len(self.columns)} columns"
        return text.strip().removeprefix("Error tokenizing data. C error: ")

    # Parquet

    def _arrow_parts(self, n_rows: int | None, text: Sequence[str]) -> Iterator[tuple[Frame, Mask]]:
        assert self._parquet is not None
        first = 0
        for batch in self._parquet.iter_batches(batch_size=n_rows or 1 << 20):
            part = batch.to_pandas().reset_index(drop=True)
            part.index += first
            first += len(part)
            yield part, np.zeros(len(part), bool)


class _Joined(io.RawIOBase):
    """Bytes that were read already, and the rest of their stream, as a stream."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            n = min(len(buffer), len(self._head))
            buffer[:n], self._head = self._head[:n], self._head[n:]
            return n
        data = self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _is_damage(error: BaseException) -> bool:
    """What gzip, bz2, lzma and zstandard raise, each an exception of its own."""
    return type(error) is EOFError or type(error).__name__ in ("error", "LZMAError", "ZstdError")


def _standard_input() -> Any:
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer


def _decompressed(stream: _Joined, head: bytes) -> Any:
    """The stream that is found in one by its first bytes, or itself."""
    if head[:2] == b"\x1f\x8b":
        import gzip

        return gzip.GzipFile(fileobj=io.BufferedReader(stream))
    if head[:3] == b"BZh":
        import bz2

        return bz2.BZ2File(io.BufferedReader(stream))
    if head[:6] == b"\xfd7zXZ\0":
        import lzma

        return lzma.LZMAFile(io.BufferedReader(stream))
    if head[:4] == b"\x28\xb5\x2f\xfd":
        return _zstandard(stream)
    if head[:4] == b"PK\x03\x04":
        kind = "an Excel workbook" if b"xl/" in head or b"[Content_Types]" in head else "an archive"
        raise ValueError(f"this is {kind}: save or unpack the table as CSV")
    return stream


def _zstandard(stream: _Joined) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
    except ImportError:
        pass
    else:
        return zstd.ZstdFile(io.BufferedReader(stream))
    try:
        import zstandard  # type: ignore[import-not-found]
    except ImportError as error:
        raise ImportError("reading .zst needs zstandard: pip install zstandard") from error
    return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)


def _parquet(file: Any, head: bytes) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("reading Parquet needs pyarrow: pip install pyarrow") from error
    source = file if file.seekable() else io.BytesIO(head + file.read())
    source.seek(0)
    try:
        return parquet.ParquetFile(source)
    except Exception as error:  # of a kind of its own
        raise ValueError(f"not a Parquet file: {error}") from None


def _find_separator(lines: str) -> str:
    """That by which the first lines have the most cells, as many in each."""
    best, most = ",", 1
    for separator in SEPARATORS:
        rows = csv.reader(io.StringIO(lines), delimiter=separator, skipinitialspace=True)
        counts = [len(row) for row, _ in zip(rows, range(50), strict=False) if row]
        if counts and min(counts) == max(counts) and counts[0] > most:
            best, most = separator, counts[0]
    if most > 1:
        return best
    first = lines.partition("\n")[0]
    return max(SEPARATORS, key=first.count) if any(map(first.count, SEPARATORS)) else ","


def _text_columns(columns: Sequence[str], rows: list[list[str]], file: TableFile) -> set[str]:
    """Those in which the first rows have a cell that is no number."""
    # what pandas itself takes for missing is not a number either, and may stand among numbers
    gaps = {"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a", "-nan", *file.na_values}
    found = set()
    for position, name in enumerate(columns):
        cells = [row[position].strip() for row in rows if len(row) > position]
        if any(np.isnan(frame.number_of(cell, file.decimal)) and cell.lower() not in gaps
               and cell not in gaps for cell in cells):  # fmt: skip
            found.add(name)
    return found
