"""Sphinx builds the site from this folder: `python -P -m sphinx -W docs build/docs`."""

import re
from typing import Any

import fastbp

project = "fastbp"
author = "The fastbp developers"
copyright = "the fastbp developers, BSD-3-Clause"
version = release = fastbp.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["notebook"]  # for Jupyter; the tutorial links to it

html_theme = "furo"
html_title = f"fastbp {release}"
html_show_sphinx = False
html_static_path = ["style"]
html_css_files = ["table.css"]

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3

default_role = "code"  # single backticks, as docstrings have them
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what is taken
autodoc_default_options = {"exclude-members": "__new__"}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False

# files of the repository that are pages here
PAGES = {
    "../bench/README.md": "measurement.md",
    "CONTRIBUTING.md": "contributing.md",
    "ARCHITECTURE.md": "architecture.md",
}


def link_to_pages(text: str) -> str:
    """Links between files of the repository as links between pages."""
    for path, page in PAGES.items():
        text = text.replace(f"]({path})", f"]({page})")
    return text


def read_source(app: Any, name: str, content: list[str]) -> None:
    content[0] = link_to_pages(content[0])


def read_include(app: Any, path: Any, name: str, content: list[str]) -> None:
    content[0] = link_to_pages(content[0])


# of a table in a docstring: a name and what it is, and what follows in further lines
ROW, MORE = re.compile(r"\w[\w, ]*? {2,}\S"), re.compile(r" {10,}\S")


def keep_columns(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """A table of names and formulas is shown line by line, as it stands."""
    begin = next((i for i, line in enumerate(lines) if ROW.match(line)), None)
    if begin is not None:
        end = begin
        while end < len(lines) and (ROW.match(lines[end]) or MORE.match(lines[end])):
            end += 1
        lines[begin:end] = ["::", "", *(f"    {line}" for line in lines[begin:end])]


def escape_formulas(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """In docstrings |w|, val_ and a * b are what they seem, not markup."""
    as_it_stands = False
    for i, line in enumerate(lines):
        as_it_stands = line == "::" or as_it_stands and (not line or line.startswith("    "))
        if not as_it_stands and not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(`[^`]*`)", line)  # code at the odd places
            parts[::2] = [re.sub(r"\||\*|_(?=\W|$)", r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = "".join(parts)


def part_attributes(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Attributes that are described together, "low, high: ...", one by one."""
    if "Attributes:" not in lines:
        return
    begin = lines.index("Attributes:") + 1
    rest = next((i for i in range(begin, len(lines)) if lines[i][:1].strip()), len(lines))
    items: list[list[str]] = []
    for line in lines[begin:rest]:
        if re.match(r"    \S", line) or not items:
            items.append([])
        items[-1].append(line)
    found: list[str] = []
    for first, *more in items:
        names, colon, words = first.partition(":")
        for one in names.split(", ") if colon else [names]:
            found += [f"    {one.strip()}{colon}{words}", *more]
    lines[begin:rest] = found


def setup(app: Any) -> None:
    app.connect("source-read", read_source)
    app.connect("include-read", read_include)
    for change in (keep_columns, escape_formulas, part_attributes):
        app.connect("autodoc-process-docstring", change, priority=400)  # before napoleon's
