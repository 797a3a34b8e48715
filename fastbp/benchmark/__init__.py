"""`fastbp bench`: training steps of fastbp and of other libraries, answers checked before times.

Nothing here is imported by the rest of the package.
"""
