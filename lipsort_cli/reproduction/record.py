"""Results kept as small files, and the page that is written from them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import make_folder, read_json, write_atomic, write_json
from lipsort_cli.reports.blocks import Block, Document, Heading, Paragraph, Picture, Table
from lipsort_cli.reports.markdown import markdown
from lipsort_cli.reproduction.outcomes import SIDES
from lipsort_cli.reproduction.page import FAILS, HOLDS, processor, spent
from lipsort_cli.reproduction.plan import Plan
from lipsort_cli.reproduction.study import Check, Finding
from lipsort_cli.versions import commit

TEXT = "text.md"
"""What the page says that no run measures; in the folder of the results."""


def record(
    plan: Plan, findings: dict[int, Finding | str], folder: Path, *, seeds: int, mode: str
) -> list[str]:
    """Write ``NAME.json`` and pictures of every complete experiment into ``folder``; their names.

    An experiment of which a job is missing is left as it is there.
    """
    make_folder(folder)
    written = []
    for study in plan.studies:
        finding, jobs = findings[study.number], plan.members[study.number]
        if isinstance(finding, str) or not all(job.finished for job in jobs):
            continue
        values = {
            "number": study.number,
            "title": study.title,
            "claim": study.claim,
            "mode": mode,
            "seeds": len({job.seed for job in jobs}),
            "jobs": len(jobs),
            "cpu_minutes": round(spent(jobs, "cpu_seconds"), 2),
            "commit": commit(),
            "processor": processor(),
            "command": f"lipsort reproduce {study.number} --{mode} --seeds {seeds}",
            "checks": [_of_check(check) for check in finding.checks],
            "blocks": [
                found
                for number, block in enumerate(finding.blocks)
                if (found := _of_block(block, folder, f"{study.name}-{number}"))
            ],
        }
        write_json(folder / f"{study.name}.json", values)
        written.append(study.name)
    return written


def _of_check(check: Check) -> dict[str, Any]:
    keys = ("claim", "side", "published", "measured", "evidence", "reason")
    return {key: getattr(check, key) for key in keys} | {
        "holds": check.holds,
        "tests": check.words,
    }


def _of_block(block: Block, folder: Path, name: str) -> dict[str, Any] | None:
    if isinstance(block, Table):
        table = {key: getattr(block, key) for key in ("title", "header", "rows", "caption", "keys")}
        return {"table": table}
    if isinstance(block, Picture) and block.path.is_file():
        shutil.copyfile(block.path, folder / f"{name}.png")
        return {"picture": f"{name}.png", "caption": block.caption}
    return None


def write_page(folder: Path) -> Path:
    """Write ``FOLDER.md`` from the results in ``folder`` and its ``text.md``.

    Raises:
        UsageError: there are no results.
        LipsortError: one of them is damaged.
    """
    found = [read_json(path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise UsageError(
            f"--page: found no results in {folder}; `lipsort reproduce --record {folder}` makes "
            "them"
        )
    try:
        found.sort(key=lambda one: int(one["number"]))
        head = Document("The paper's experiments", [_results(found)])
        tail = [block for one in found for block in _section(one, folder)]
    except (KeyError, TypeError, ValueError) as error:
        raise LipsortError(f"{folder}: damaged results ({error!r})") from error
    path = folder.with_suffix(".md")
    text = folder / TEXT
    middle = text.read_text(encoding="utf-8") + "\n" if text.is_file() else ""
    rest = markdown(Document("", tail), path.parent).partition("\n\n")[2]
    write_atomic(path, f"{markdown(head, path.parent)}\n{middle}{rest}".encode())
    return path


def _results(found: list[dict[str, Any]]) -> Table:
    rows = []
    for one in found:
        claims: dict[str, dict[str, dict[str, Any]]] = {}
        for check in one["checks"]:
            claims.setdefault(check["claim"], {})[check["side"]] = check
        for claim, sides in claims.items():
            first = next(iter(sides.values()))
            rows.append(
                [f"{one['number']}. {one['title']}", claim, first["published"],
                 *(_verdict(sides.get(side)) for side in SIDES.values()), first["evidence"],
                 str(one["seeds"]), f"{one['cpu_minutes']:.1f} ({one['mode']})"]
            )  # fmt: skip
    header = ["experiment", "claim", "published", *SIDES.values(), "evidence", "seeds", "minutes"]
    return Table(
        "", header, rows,
        "Minutes: processor time of the whole experiment, and its size. A claim holds where the "
        "lower end of a one-sided 95% interval over seeds lies above its margin.",
        keys=2, right=frozenset(),
    )  # fmt: skip


def _verdict(check: dict[str, Any] | None) -> str:
    if check is None:
        return "-"
    reason = f" ({check['reason']})" if check["reason"] and not check["holds"] else ""
    return f"{HOLDS if check['holds'] else FAILS + reason}: {check['measured']}"


def _section(one: dict[str, Any], folder: Path) -> list[Block]:
    blocks: list[Block] = [
        Heading(f"{one['number']}. {one['title']}"),
        Paragraph(
            f"{one['claim']} Made by `{one['command']}` at commit {str(one['commit'])[:10]}: "
            f"{one['jobs']} jobs, {one['cpu_minutes']:.1f} minutes of {one['processor']}."
        ),
    ]
    for block in one["blocks"]:
        if "table" in block:
            blocks.append(Table(**block["table"]))
        else:
            blocks.append(Picture(folder / block["picture"], block["caption"]))
    rows = [
        [HOLDS if check["holds"] else FAILS, check["side"], words]
        for check in one["checks"]
        for words in check["tests"]
    ]
    blocks.append(Table("What was tested", ["claim", "arm", "test"], rows, right=frozenset()))
    return blocks
