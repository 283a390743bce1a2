"""What came of an experiment: judged, as plain values, kept as a small file, shown in reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lipsort_cli.console import plural
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import make_folder, read_bytes, read_json, write_atomic, write_json
from lipsort_cli.identity import locked
from lipsort_cli.quoting import folder_given_by
from lipsort_cli.reports.blocks import Block, Document, Heading, Paragraph, Picture, Table
from lipsort_cli.reports.build import COMMANDS, build_report
from lipsort_cli.reports.markdown import markdown
from lipsort_cli.reproduction.jobs import MARK, Job
from lipsort_cli.reproduction.outcomes import SIDES, Outcomes
from lipsort_cli.reproduction.plan import Plan
from lipsort_cli.reproduction.study import FAILS, HOLDS, MISSING, Finding, Study
from lipsort_cli.versions import commit, processor

TEXT = "text.md"
"""What the page says that no run measures; in the folder of the results."""

METHOD = (
    "A claim holds if the lower end of a one-sided 95% interval of Student's t for the mean over "
    "seeds lies above its margin, or, of a claim of less, the upper end below it. Differences are "
    "paired by seed. With three seeds the lower end is the mean minus 2.92 standard errors. "
    "Minutes: of processor time, the whole experiment."
)


def described(
    study: Study, finding: Finding | str, jobs: list[Job], mode: str, failed: dict[Path, str]
) -> dict[str, Any]:
    """What came of an experiment; pictures by their absolute paths.

    ``failed``: why jobs did not finish, by their directories.
    """
    finished = [job for job in jobs if job.finished]
    seeds = len({job.seed for job in jobs})
    problem = finding if isinstance(finding, str) else ""
    found = Finding() if isinstance(finding, str) else finding
    return {
        "number": study.number,
        "name": study.name,
        "title": study.title,
        "claim": study.claim,
        "mode": mode,
        "seeds": seeds,
        "jobs": len(jobs),
        "missing": len(jobs) - len(finished),
        "missing_because": sorted(
            {failed[job.directory] for job in jobs if job.directory in failed}
        ),
        "problem": problem or ("" if found.checks else "no job has finished"),
        "presets": list(dict.fromkeys(job.preset for job in jobs if ":" not in job.preset)),
        "cpu_minutes": round(spent(finished, "cpu_seconds"), 2),
        "commit": commit(),
        "processor": processor(),
        "command": f"lipsort reproduce {study.number} --{mode} --seeds {seeds}",
        "checks": [
            {key: getattr(check, key) for key in _KEPT} | {"tests": check.words}
            for check in found.checks
        ],
        "blocks": [one for block in found.blocks if (one := _of_block(block))],
    }


_KEPT = ("claim", "side", "published", "measured", "evidence", "reason", "verdict")
"""What is kept of a check, beside what was tested."""


def _of_block(block: Block) -> dict[str, Any] | None:
    if isinstance(block, Table):
        keys = ("title", "header", "rows", "caption", "keys")
        return {"table": {key: getattr(block, key) for key in keys}}
    if isinstance(block, Picture) and block.path.is_file():
        return {"picture": str(block.path.absolute()), "caption": block.caption}
    return None


def spent(jobs: Iterable[Job], key: str) -> float:
    """Minutes that finished jobs took: ``seconds`` or ``cpu_seconds``."""
    return sum(float(read_json(job.directory / MARK).get(key, 0.0)) for job in jobs) / 60


# --- kept -------------------------------------------------------------------------------------


def keep(found: list[dict[str, Any]], folder: Path) -> list[str]:
    """Write ``NAME.json`` and pictures of every complete experiment into ``folder``; their names.

    One of which a job is missing is left as it is there.
    """
    make_folder(folder)
    complete = [one for one in found if not one["problem"] and not one["missing"]]
    for one in complete:
        blocks = []
        for number, block in enumerate(one["blocks"]):
            if "picture" in block:
                name = f"{one['name']}-{number}.png"
                write_atomic(folder / name, Path(block["picture"]).read_bytes())
                block = {**block, "picture": name}
            blocks.append(block)
        write_json(folder / f"{one['name']}.json", {**one, "blocks": blocks})
    return [one["name"] for one in complete]


def read_results(folder: Path) -> tuple[list[dict[str, Any]], list[Block]]:
    """What :func:`keep` wrote into ``folder``, in order, and what the page shows of it.

    Raises:
        LipsortError: one of them is damaged, or a file of someone else's.
    """
    found: list[tuple[int, dict[str, Any], list[Block]]] = []
    for path in sorted(folder.glob("*.json")):
        one = read_json(path)
        try:
            results([one])
            found.append((int(one["number"]), one, section(one, folder)))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise LipsortError(
                f"{path}: found no results of `lipsort reproduce --record`, or damaged ones "
                f"({error!r}); restore the file, or move it elsewhere"
            ) from error
    found.sort(key=lambda entry: entry[0])
    return [one for _, one, _ in found], [block for *_, blocks in found for block in blocks]


@contextmanager
def record_folder(folder: Path | None) -> Iterator[None]:
    """Keep ``folder``, if there is one, for results that hours are spent on within the block.

    Raises:
        UsageError: it cannot be made or written to, or holds another JSON file than results.
    """
    with ExitStack() as held:
        if folder is not None:
            try:
                with folder_given_by("--record FOLDER"):
                    held.enter_context(locked(folder))
                    read_results(folder)
            except LipsortError as error:
                raise UsageError(f"--record: {error}") from error
        yield


def write_page(folder: Path) -> Path:
    """Write ``FOLDER.md`` from the results in ``folder`` and its ``text.md``.

    Raises:
        UsageError: there are no results.
        LipsortError: one of them is damaged.
    """
    found, tail = read_results(folder)
    if not found:
        raise UsageError(
            f"--page: found no results in {folder}; `lipsort reproduce --record {folder}` makes "
            "them"
        )
    head = Document("The paper's experiments", [results(found)])
    path = folder.with_suffix(".md")
    text = folder / TEXT
    middle = ""
    if text.is_file():
        middle = read_bytes(text).decode("utf-8", "surrogateescape") + "\n"
    rest = markdown(Document("", tail), path.parent).partition("\n\n")[2]
    write_atomic(path, f"{markdown(head, path.parent)}\n{middle}{rest}")
    return path


# --- shown ------------------------------------------------------------------------------------


def results(found: list[dict[str, Any]]) -> Table:
    """The table that a reader looks at first: every claim, both arms beside what is published."""
    rows = []
    for one in found:
        name, took = f"{one['number']}. {one['title']}", f"{one['cpu_minutes']:.1f} ({one['mode']})"
        if one["problem"]:
            rows.append([name, one["claim"], "", MISSING, one["problem"], "", "", took])
        claims: dict[str, dict[str, dict[str, Any]]] = {}
        for check in one["checks"]:
            claims.setdefault(check["claim"], {})[check["side"]] = check
        for claim, sides in claims.items():
            first = next(iter(sides.values()))
            words = [_verdict(sides.get(side), one["missing"]) for side in SIDES.values()]
            rows.append([name, claim, first["published"], *words, first["evidence"],
                         str(one["seeds"]), took])  # fmt: skip
    header = ["experiment", "claim", "published", *SIDES.values(), "evidence", "seeds", "minutes"]
    title = "The paper's claims, and this machine"
    return Table(title, header, rows, METHOD, keys=2, right=frozenset())


def _verdict(check: dict[str, Any] | None, missing: int) -> str:
    if check is None:
        return "-"
    word = check["verdict"]
    reason = f" ({check['reason']})" if check["reason"] and word != HOLDS else ""
    jobs = f", {plural(missing, 'job')} missing" if missing else ""
    return f"{word}{reason}{jobs}: {check['measured']}"


def section(one: dict[str, Any], folder: Path) -> list[Block]:
    """An experiment's tables and pictures, which lie in ``folder``, and what was tested."""
    blocks: list[Block] = [
        Heading(f"{one['number']}. {one['title']}"),
        Paragraph(
            f"{one['claim']} Made by `{one['command']}` at commit {str(one['commit'])[:10]}: "
            f"{plural(one['jobs'], 'job')}, {one['cpu_minutes']:.1f} minutes of {one['processor']}."
        ),
    ]
    if one["missing"]:
        words = [f"{one['missing']} of {one['jobs']} jobs have not finished"]
        blocks.append(Paragraph(": ".join([*words, *one["missing_because"]])))
    if one["problem"]:
        return [*blocks, Paragraph(f"Not measured: {one['problem']}")]
    for block in one["blocks"]:
        if "table" in block:
            blocks.append(Table(**block["table"]))
        else:
            blocks.append(Picture(folder / block["picture"], block["caption"]))
    rows = [
        [verdict, check["side"], words]
        for check in one["checks"]
        for verdict, words in check["tests"]
    ]
    blocks.append(Table("What was tested", ["", "arm", "test"], rows, right=frozenset()))
    if one["presets"]:
        blocks.append(Paragraph(f"Presets: {', '.join(one['presets'])}."))
    return blocks


def judged(plan: Plan, out: Path) -> dict[int, Finding | str]:
    """What came of every experiment; a message where something that it needs is missing."""
    found: dict[int, Finding | str] = {}
    folder = out / "figures"
    for study in plan.studies:
        if not any(job.finished for job in plan.members[study.number]):
            found[study.number] = "no job has finished"
            continue
        try:
            finding = study.judge(Outcomes(plan.members[study.number]), folder)
        except LipsortError as error:
            found[study.number] = str(error)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            # Files of a job that hold something else than its command writes.
            found[study.number] = f"unexpected content among its results: {error!r}"
        else:
            found[study.number] = finding
    return found


def verdict(finding: Finding | str, missing: int) -> str:
    """One word on an experiment."""
    if isinstance(finding, str) or missing or not finding.checks:
        return MISSING
    verdicts = {check.verdict for check in finding.checks}
    return next(word for word in (MISSING, FAILS, HOLDS) if word in verdicts)


def write(
    plan: Plan, findings: dict[int, Finding | str], out: Path, mode: str, failed: dict[Path, str]
) -> list[dict[str, Any]]:
    """Write ``report.md``, ``report.html`` and ``report.json`` into ``out``; what they say."""
    found = [
        described(study, findings[study.number], plan.members[study.number], mode, failed)
        for study in plan.studies
    ]
    blocks: list[Block] = [
        Paragraph(
            "Clean accuracies and attacks are empirical; certified accuracies, Lipschitz bounds "
            "and lower bounds of W1 are proven, rounding included."
        ),
        results(found),
        *(block for one in found for block in section(one, out)),
        Heading("All runs"),
    ]
    comparable = any(job.command in COMMANDS and job.finished for job in plan.jobs)
    build_report(
        [out / "jobs"] if comparable else [],  # of theory alone there are no runs to compare
        out,
        title="The paper, reproduced",
        pool=("seed", "data.subset_seed"),
        pictures=False,
        extra=blocks,
    )
    return found
