"""Tables as inputs and targets: what each column is, and models that take tables as they are."""

from fastbp.tabular.model import TableModel

__all__ = ["TableModel"]
