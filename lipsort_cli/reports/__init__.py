"""Reports: runs compared in tables and pictures. Imports no torch."""

from lipsort_cli.reports.blocks import Block, Document, Heading, Paragraph, Picture, Table
from lipsort_cli.reports.build import COMMANDS, Report, build_report

__all__ = [
    "COMMANDS",
    "Block",
    "Document",
    "Heading",
    "Paragraph",
    "Picture",
    "Report",
    "Table",
    "build_report",
]
