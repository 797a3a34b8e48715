"""Tables in files: what is read, in which form, and what is refused."""

import bz2
import gzip
import io
import lzma
import sys
from types import SimpleNamespace

import pytest
from support.refusal import bad_input

pd = pytest.importorskip("pandas")

import fastbp as fb  # noqa: E402
from fastbp.tabular.file import TableFile  # noqa: E402

TEXT = "a;b;c\n007;1,5;x\n8;2,5;\n"


def put(tmp_path, content, name="data.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, *, text=(), **options):
    with TableFile(path, **options) as file:
        return file.read(text=text)


def cells(table):
    return {name: table[name].astype(object).where(table[name].notna(), None).tolist()
            for name in table.columns}  # fmt: skip


def test_numbers_are_numbers_and_text_stays_text(tmp_path):
    table = read(put(tmp_path, 'a, b,c,d\n007,"x, y",true,1.50\n1.50,,false,\n'))
    assert cells(table) == {"a": [7, 1.5], "b": ["x, y", None], "c": ["true", "false"],
                            "d": [1.5, None]}  # fmt: skip
    table = read(put(tmp_path, "a\n007\n8\n"), text=["a"])
    assert cells(table) == {"a": ["007", "8"]}


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("a,b\n1,2\n", ["a", "b"]),
        ("a;b\n1,5;2,5\n", ["a", "b"]),
        ("a\tb\n1\t2,3\n", ["a", "b"]),
        ("a|b|c\n1|2|3\n", ["a", "b", "c"]),
        ('a,b\n"1;2",3\n"1;2",3\n', ["a", "b"]),
        ("a b\n1\n", ["a b"]),
        ("a,b\n1,2,3\n4,5\n", ["a", "b"]),
        ("\n\na,b\n1,2\n", ["a", "b"]),
        ("\ufeffa;b\r\n1;2\r\n", ["a", "b"]),
    ],
)
def test_separator_is_found(tmp_path, content, columns):
    with TableFile(put(tmp_path, content)) as file:
        assert file.columns == columns


def test_separator_decimal_and_missing_values_are_told(tmp_path):
    path = put(tmp_path, TEXT.replace("8;", "?;"))
    table = read(path, separator=";", decimal=",", na_values=["?"])
    assert cells(table) == {"a": [7, None], "b": [1.5, 2.5], "c": ["x", None]}


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_whatever_the_name(tmp_path, compress):
    path = put(tmp_path, compress(TEXT.encode()), "data")
    assert cells(read(path, decimal=","))["b"] == [1.5, 2.5]


def test_zstandard(tmp_path, monkeypatch):
    data = b"\x28\xb5\x2f\xfd" + bytes(20)
    path = put(tmp_path, data)
    if sys.version_info < (3, 14):
        monkeypatch.setitem(sys.modules, "zstandard", None)
        with pytest.raises(ImportError, match="pip install zstandard"):
            read(path)
        monkeypatch.delitem(sys.modules, "zstandard")
    zstandard = pytest.importorskip("zstandard")
    path.write_bytes(zstandard.ZstdCompressor().compress(TEXT.encode()))
    assert cells(read(path, decimal=","))["b"] == [1.5, 2.5]


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"a": [1.5, None], "b": ["x", "y"], "c": [True, False]})
    path = tmp_path / "data"
    table.to_parquet(path)
    assert cells(read(path)) == cells(table)
    with pytest.raises(ValueError, match="not a Parquet file"):
        read(put(tmp_path, b"PAR1" + bytes(30)))


def test_standard_input(tmp_path, monkeypatch):
    for content in (TEXT.encode(), gzip.compress(TEXT.encode(), mtime=0)):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        assert cells(read("-", decimal=","))["b"] == [1.5, 2.5]


def test_blank_lines_and_empty_cells_at_the_end(tmp_path):
    table = read(put(tmp_path, 'x,"b\nc"\n\n1,2,\n\n3\n\n'))
    assert cells(table) == {"x": [1, 3], "b\nc": [2, None]}
    table = read(put(tmp_path, "\n\nx,y\n1,2\n"))
    assert cells(table) == {"x": [1], "y": [2]}


def test_encodings(tmp_path):
    path = put(tmp_path, "a,b\n1,ü\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"not UTF-8 text \(byte 6\): pass --encoding"):
        read(path)
    assert cells(read(path, encoding="cp1252"))["b"] == ["ü"]
    assert cells(read(put(tmp_path, "a,b\n1,ü\n".encode("utf-16"))))["b"] == ["ü"]
    with pytest.raises(ValueError, match="unknown encoding 'x'"):
        read(path, encoding="x")


def test_without_header(tmp_path):
    path = put(tmp_path, "5.1,3.5,setosa\n4.9,3.0,setosa\n")
    with TableFile(path) as file:
        assert "if it is data, pass --no-header" in file.notes[0]
    assert list(read(path, has_header=False).columns) == ["column_1", "column_2", "column_3"]
    with TableFile(put(tmp_path, "0,1,2\n5,6,7\n")) as file:
        assert file.notes == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("a,b\n", "has a header and no rows"),
        ("a,a\n1,2\n", "two columns are called 'a'"),
        ("Unnamed: 1,,c\n1,2,3\n", "two columns are called 'Unnamed: 1'"),
        ("a,b\n1,2,3\n", "more cells than the 2 columns in data row 1"),
        ("a,b\n1,2\n1,2,3,4\n5,6\n", "more cells than the 2 columns in data row 2"),
        ("a,b\n1,2,3,4,5,6,7\n1,2\n", "far more cells than the 2 columns in a row"),
        ("a,b\n1,2\n" + "1," * 50 + "1\n", "line 3 has 51 cells, there are 2 columns"),
        ("a,b\n1,2\n3," + '"' + "4" * 200000, "field larger than field limit|EOF inside string"),
        (b"a,b\n1,\0\n", "this is no text: a byte is 0"),
        ('[{"a": 1, "b": 2}]', "this is JSON: save the table as CSV"),
        (b"PK\x03\x04xl/workbook.xml", "an Excel workbook"),
        (gzip.compress(TEXT.encode() * 9, mtime=0)[:40], "the compressed file is damaged"),
    ],
)
def test_bad_file(tmp_path, content, message):
    path = put(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        TableFile(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError):  # an address is the name of a file
        TableFile("http://localhost:9/data.csv")


def test_parts_are_the_whole(tmp_path, monkeypatch):
    from fastbp.tabular import file as module

    rows = "".join(f"{i},{'x' if i % 7 else ''},{i / 8}\n" for i in range(5000))
    path = put(tmp_path, "a,b,c\n" + rows)
    monkeypatch.setattr(module, "_CELLS", 3000)
    with TableFile(path) as file:
        parts = [part for part, broken in file.parts() if not broken.any()]
    assert [len(part) for part in parts] == [1000] * 5
    assert list(parts[3].index) == list(range(3000, 4000))
    assert pd.concat(parts).equals(read(path))


@bad_input("column without a name")
@pytest.mark.parametrize("text", [",a,b,\n0,1,2,\n1,3,4,\n", "a,b\n1,2\n3,4\n"])
def test_columns_without_a_name_are_called_as_pandas_does(tmp_path, text):
    """The index of `to_csv`, and separators at the end of lines."""
    path = tmp_path / "data.csv"
    path.write_text(text)
    with TableFile(path) as file:
        assert list(file.columns) == list(pd.read_csv(path).columns)
        assert len(file.notes) == text.partition("\n")[0].count(",") - 1
        table = file.read()
    assert table.equals(pd.read_csv(path))


def test_the_index_of_to_csv_is_left_out(tmp_path):
    path = tmp_path / "data.csv"
    table = pd.DataFrame({"size": [1.0, 2.0, 0.0, 3.0] * 8, "kind": ["x", "y", "x", "y"] * 8})
    table.to_csv(path)
    model = fb.TableModel(epochs=1, seed=0).fit(read(path), target="kind")
    assert model.columns == ("size",)


def test_without_pandas_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"fastbp\[csv\].*in a clone.*pip install '\.\[csv\]'"):
        TableFile(tmp_path / "data.csv")
