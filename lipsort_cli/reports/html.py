"""A document as one HTML page: nothing outside it is needed, no script runs, and it prints well."""

from __future__ import annotations

import base64
from html import escape

from lipsort_cli.reports.blocks import Block, Document, Heading, Paragraph, Picture, Table

PRINTED_WIDTH = 96
"""Characters of a table's line that fit a printed page; wider tables are split."""

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
  color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin-top: 2.2rem; border-bottom: 1px solid #bbb; padding-bottom: .2rem; }
h3 { font-size: 1.1rem; margin-top: 1.6rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid #444; vertical-align: bottom; }
tbody th { font-weight: 400; }
.right { text-align: right; }
p.note, figcaption { color: #444; font-size: .85rem; max-width: 48rem; }
figure { margin: 1.2rem 0; }
img { max-width: 100%; height: auto; }
@page { margin: 15mm; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  table { font-size: 8.5pt; }
  .table { overflow: visible; }
  thead { display: table-header-group; }
  tr, figure { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  img { max-height: 110mm; }
}
"""


def html(document: Document) -> str:
    """The whole page; pictures are read from their files and embedded."""
    body = "\n".join(_block(block) for block in document.blocks)
    title = escape(document.title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Paragraph():
            return f"<p>{escape(block.text)}</p>"
        case Picture():
            data = base64.b64encode(block.path.read_bytes()).decode("ascii")
            caption = escape(block.caption)
            return (
                f'<figure>\n<img alt="{caption}" src="data:image/png;base64,{data}">\n'
                f"<figcaption>{caption}</figcaption>\n</figure>"
            )
        case Table():
            return "\n".join(_table(part) for part in block.fitted(PRINTED_WIDTH))


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.split("\n"))


def _cell(tag: str, text: str, right: bool, scope: str = "") -> str:
    attributes = (' class="right"' if right else "") + (f' scope="{scope}"' if scope else "")
    return f"<{tag}{attributes}>{_lines(text)}</{tag}>"


def _table(table: Table) -> str:
    head = "".join(
        _cell("th", cell, table.aligned_right(i), "col") for i, cell in enumerate(table.header)
    )
    rows = []
    for row in table.rows:
        cells = [
            _cell("th", cell, table.aligned_right(i), "row")
            if i < table.keys
            else _cell("td", cell, table.aligned_right(i))
            for i, cell in enumerate(row)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    note = f'\n<p class="note">{escape(table.caption)}</p>' if table.caption else ""
    return (
        f'<div class="table"><table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + f"\n</tbody></table></div>{note}"
    )
