"""A document as one HTML page: nothing outside it is needed, no script runs, and it prints well."""

from __future__ import annotations

import base64
from html import escape

from lipsort_cli.console import printable
from lipsort_cli.reports.blocks import Block, Document, Heading, Paragraph, Picture, Table

PRINTED_WIDTH = 96
"""Characters of a table's line that fit a printed page; there, wider tables are split."""

_TEXT = 28
"""Characters from which on a cell that is no number may go on in a second line."""

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
  color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem;
  overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin-top: 2.2rem; border-bottom: 1px solid #bbb; padding-bottom: .2rem; }
h3 { font-size: 1.1rem; margin-top: 1.6rem; }
/* As wide as its table, from the column of text to the whole page; then it scrolls. */
.table { overflow-x: auto; margin: 1rem 0; width: max-content; min-width: 100%;
  max-width: calc(100vw - 2.5rem); position: relative; left: 50%; transform: translateX(-50%); }
.table:focus-visible { outline: 2px solid #4477aa; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid #ddd; }
.text { white-space: normal; min-width: 14rem; max-width: 34rem; }
thead th { border-bottom: 2px solid #444; vertical-align: bottom; }
tbody th { font-weight: 400; }
.right { text-align: right; }
p.note, figcaption { color: #444; font-size: .85rem; max-width: 48rem; }
figure { margin: 1.2rem 0; }
img { max-width: 100%; height: auto; }
.print { display: none; }
@page { margin: 15mm; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  table { font-size: 8.5pt; }
  .screen { display: none; }
  .print { display: block; }
  .table { overflow: visible; width: auto; max-width: none; left: 0; transform: none; }
  .text { min-width: 0; max-width: none; overflow-wrap: anywhere; }
  thead { display: table-header-group; }
  tr, figure { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  img { max-height: 110mm; }
}
"""


def html(document: Document) -> str:
    """The whole page; pictures are read from their files and embedded."""
    body = "\n".join(_block(block) for block in document.drawn())
    title = _escaped(document.title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_escaped(block.text)}</h{block.level}>"
        case Paragraph():
            return f"<p>{_escaped(block.text)}</p>"
        case Picture():
            data = base64.b64encode(block.path.read_bytes()).decode("ascii")
            caption = _escaped(block.caption)
            return (
                f'<figure>\n<img alt="{caption}" src="data:image/png;base64,{data}">\n'
                f"<figcaption>{caption}</figcaption>\n</figure>"
            )
        case Table():
            parts = block.fitted(PRINTED_WIDTH)
            if len(parts) == 1:
                return _table(block) + _note(block)
            printed = "\n".join(_table(part) for part in parts)
            return _table(block, " screen") + f'<div class="print">{printed}</div>' + _note(block)


def _escaped(text: str) -> str:
    return escape(printable(text))


def _cell(tag: str, text: str, right: bool, scope: str = "") -> str:
    lines = text.split("\n")
    long = max(map(len, lines)) >= _TEXT and not right
    look = ' class="right"' if right else ' class="text"' if long else ""
    attributes = look + (f' scope="{scope}"' if scope else "")
    return f"<{tag}{attributes}>{'<br>'.join(map(_escaped, lines))}</{tag}>"


def _note(table: Table) -> str:
    return f'\n<p class="note">{_escaped(table.caption)}</p>' if table.caption else ""


def _table(table: Table, where: str = "") -> str:
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
    caption = f"<caption>{_escaped(table.title)}</caption>" if table.title else ""
    return (
        # In the order of the keyboard, so that it can be scrolled without a mouse.
        f'<div class="table{where}" tabindex="0"><table>{caption}\n<thead><tr>{head}</tr></thead>'
        "\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )
