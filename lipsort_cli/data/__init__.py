"""Image data sets, synthetic distributions and sample files."""

from lipsort_cli.data.dataset import Dataset, Split, load

__all__ = ["Dataset", "Split", "load"]
