"""`lipsort doctor`: versions, devices, data, and what is missing for what.

Nothing that may be broken is imported here: another process does that, and is asked again where it
dies on the way.
"""

from __future__ import annotations

import json as texts
import os
import platform
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from lipsort_cli import __version__
from lipsort_cli.config.tree import config_root
from lipsort_cli.errors import LipsortError
from lipsort_cli.pages import page, table
from lipsort_cli.versions import commit, cores

PURPOSES = {
    "attacks": "lipsort attack methods=[autoattack] and [foolbox]",
    "docs": "make docs: these pages as a site",
    "export": "lipsort export formats=[onnx], certificates of ONNX files",
    "import": "lipsort import of ONNX files and of torch.export's",
    "launchers": "hydra/launcher=joblib, submitit_local, submitit_slurm",
    "mlflow": "tracker=[mlflow]",
    "sweepers": "hydra/sweeper=optuna",
    "tensorboard": "tracker=[tensorboard]",
    "tune": "lipsort tune",
    "wandb": "tracker=[wandb]",
}
"""What each extra is for; ``dev`` is for those who change lipsort."""

_MODULES = {
    "hydra-core": "hydra", "pot": "ot", "python-flint": "flint", "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}  # fmt: skip
"""What a distribution is imported as, where that is not its name; metadata of wheels write names in
small letters."""

_DATA = {
    "MNIST": ("MNIST/raw",),
    "Fashion-MNIST": ("FashionMNIST/raw",),
    "CIFAR-10": ("cifar-10-batches-bin", "cifar-10-batches-py"),
}

_PROBE = """
import importlib, json, runpy, sys
import lipsort_cli
def say(*words): print(json.dumps(words), flush=True)
def torch_here(torch):
    from lipsort_cli.devices import fast_dtype
    found = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return {"devices": ["cpu", *found], "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "fast_dtype": str(fast_dtype("cpu")).removeprefix("torch.")}
for name in json.load(sys.stdin):
    say("begins", name)
    try:
        if name == "torchvision":
            # As lipsort does it, which makes up for operators missing beside some builds of torch.
            shim = lipsort_cli.__path__[0] + "/data/torchvision_shim.py"
            runpy.run_path(shim)["import_torchvision"]()
        module = importlib.import_module(name)
        if name == "torch":
            say("torch", torch_here(module))
        say("works", name)
    except BaseException as error:
        say("fails", name, f"{type(error).__name__}: {error}".splitlines()[0])
"""
_LIMIT = 300.0


def doctor(json: Annotated[bool, Option("--json", help="The same as JSON.")] = False) -> int:
    """Say what is installed, found, missing for what.

    Versions, devices, threads, data sets, extras, each with the line that installs it.

    Exit codes: 0 all that is required works; 1 something does not.
    """
    found = examined()
    if json:
        print(texts.dumps(found, indent=2))
    else:
        _show(found)
    return 1 if found["faults"] else 0


def examined() -> dict[str, Any]:
    """Everything that is found, as ``--json`` prints it."""
    required, extras = requirements()
    packages = {name: _package(text) for name, text in required.items()}
    present = [name for name, one in packages.items() if one["version"] is not None]
    probed = _probe([_module(name) for name in present])
    for name in present:
        if _module(name) in probed["fails"]:
            packages[name]["fault"] = f"is broken: {probed['fails'][_module(name)]}"
    faults = [f"{name} {one['fault']}" for name, one in packages.items() if one["fault"]]
    try:
        configuration = str(config_root())
    except LipsortError as error:
        configuration = ""
        faults.append(str(error))
    return {
        "lipsort": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "configuration": configuration,
        "packages": packages,
        "torch": probed["torch"],
        "cores": cores(),
        "environment": {
            key: value
            for key, value in sorted(os.environ.items())
            if key.startswith(("LIPSORT_", "OMP_", "ATEN_", "CUDA_VISIBLE"))
        },
        "data": _data(),
        "extras": {name: _extra(name, wanted) for name, wanted in extras.items()},
        "faults": faults,
    }


def requirements() -> tuple[dict[str, str], dict[str, list[str]]]:
    """What lipsort requires, by distribution, and what each extra does: of a checkout as its
    ``pyproject.toml`` says, of a wheel as its metadata do."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    extras: dict[str, list[str]] = {name: [] for name in PURPOSES}
    if project.is_file():
        listed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        plain = list(listed["dependencies"])
        extras |= {n: listed["optional-dependencies"][n] for n in PURPOSES}
    else:
        plain = []
        for line in metadata.requires("lipsort") or []:
            text, _, marker = (part.strip() for part in line.partition(";"))
            extra = re.search(r"extra == ['\"](\w+)", marker)
            if extra is None:
                plain.append(text)
            elif extra[1] in extras:
                extras[extra[1]].append(text)
    for name, wanted in extras.items():
        extras[name] = [text for one in wanted for text in _expanded(one, extras)]
    return {_name(text): text for text in plain}, extras


def _expanded(requirement: str, extras: dict[str, list[str]]) -> list[str]:
    """``lipsort[A,B]`` as what A and B require."""
    found = re.fullmatch(r"lipsort\[([\w,]+)\]", requirement.replace(" ", ""))
    return (
        [text for name in found[1].split(",") for text in extras[name]] if found else [requirement]
    )


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else requirement


def _module(distribution: str) -> str:
    return _MODULES.get(distribution.lower(), distribution)


def _package(requirement: str) -> dict[str, Any]:
    """The version of a distribution, what is required, and what is wrong with it."""
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return {"version": None, "required": str(wanted.specifier), "fault": "is not installed"}
    fits = wanted.specifier.contains(version, prereleases=True)
    fault = "" if fits else f"{version} is installed; allowed: {wanted.specifier}"
    return {"version": version, "required": str(wanted.specifier), "fault": fault}


def _extra(name: str, wanted: list[str]) -> dict[str, Any]:
    found = {_name(text): _package(text) for text in wanted}
    return {
        "for": PURPOSES[name],
        "installed": {n: one["version"] for n, one in found.items() if not one["fault"]},
        "missing": {n: one["fault"] for n, one in found.items() if one["fault"]},
        "install": f"pip install 'lipsort[{name}]'",
    }


def _probe(modules: list[str]) -> dict[str, Any]:
    """Import ``modules`` in a process of their own: which fail, and what torch finds here."""
    result: dict[str, Any] = {"fails": {}, "torch": None}
    waiting = list(modules)
    while waiting:
        try:
            done = subprocess.run(
                [sys.executable, "-c", _PROBE],
                input=texts.dumps(waiting),
                capture_output=True, text=True, timeout=_LIMIT, check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
            output, end = done.stdout, f"its process ended with {done.returncode}"
        except subprocess.TimeoutExpired as error:
            output, end = str(error.stdout or ""), f"nothing heard for {_LIMIT:.0f} s"
        last = None
        for line in output.splitlines():
            if not line.startswith("["):
                continue
            what, value, *rest = texts.loads(line)
            if what == "begins":
                last = value
            elif what == "torch":
                result["torch"] = value
            else:
                last = None
                waiting.remove(value)
                if what == "fails":
                    result["fails"][value] = rest[0]
        if last is None:
            break
        result["fails"][last] = end
        waiting.remove(last)
    return result


def _data() -> dict[str, Any]:
    root = Path(os.environ.get("LIPSORT_DATA", "data")).expanduser()
    found = {
        name: next((str(root / place) for place in places if (root / place).is_dir()), None)
        for name, places in _DATA.items()
    }
    return {"root": str(root.absolute()), "exists": root.is_dir(), "found": found}


def _show(found: dict[str, Any]) -> None:
    out = page()
    built = f" (commit {found['commit'][:12]})" if found["commit"] else ""
    out.print(f"[bold]lipsort {found['lipsort']}[/]{built}, Python {found['python']}")
    out.print(found["platform"], markup=False)
    torch = found["torch"]
    rows = [("cores", str(found["cores"]))]
    if torch is not None:
        fast = f"{torch['capability']}; {torch['fast_dtype']} for products of training"
        threads = f"{torch['threads']} of torch's own choice"
        rows += [("devices", ", ".join(torch["devices"])), ("threads", threads)]
        rows.append(("arithmetic", fast))
    rows += [("environment", f"{key}={value}") for key, value in found["environment"].items()]
    out.print(table(rows))
    out.print("\n[bold]Packages[/]")
    out.print(
        table(
            (name, one["version"] or "-", one["fault"] or "works")
            for name, one in found["packages"].items()
        )
    )
    data = found["data"]
    how = "set LIPSORT_DATA to another; they are downloaded there when first used"
    out.print(f"\n[bold]Data[/] under {data['root']} ({how})", markup=True)
    out.print(table((name, where or "not there") for name, where in data["found"].items()))
    out.print("\n[bold]Extras[/]")
    listed = []
    for name, one in found["extras"].items():
        state = "installed" if not one["missing"] else one["install"]
        listed.append((name, state.replace("[", "\\["), one["for"].replace("[", "\\[")))
    out.print(table(listed))
    for fault in found["faults"]:
        out.print(f"\n[bold red]fault:[/] {fault}")
    out.print("\n" + ("Something is wrong." if found["faults"] else "All that is required works."))
