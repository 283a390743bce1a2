"""certify, verify, attack and export as a user runs them, on a small trained run."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import fuzz
import numpy as np
import pytest

from lipsort_cli.certificates.points import lipschitz_bound, load_network
from lipsort_cli.commands import attack, certify, export
from lipsort_cli.commands.verify import verify as verify_command
from lipsort_cli.config.certificates import (
    DEFAULT_EPS,
    AttackConfig,
    CertifyConfig,
    ExportConfig,
)
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.trained import open_predictor, open_run, resolve_claim
from lipsort_cli.verifier.__main__ import main as verify_main

TRAIN = [
    "train",
    "model.widths=[16,16]",
    "model.bias=false",
    "training.epochs=3",
    "evaluation.attack.points=0",
    "evaluation.eps=[0.1,0.3]",
]


def lipsort(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    fuzz.warm()
    done = fuzz.attempt(arguments, cwd, environment={"COLUMNS": "200"}, limited=False)
    return subprocess.CompletedProcess(arguments, done.code, done.out, done.err)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training run on the embedded digits."""
    folder = tmp_path_factory.mktemp("commands")
    done = lipsort(*TRAIN, "hydra.run.dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_certify_verify_export(run: Path) -> None:
    done = lipsort("certify", "run", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert "Proven: for" in done.stdout and "Not claimed" in done.stdout
    *_, where, following = done.stdout.strip().splitlines()
    assert where.startswith("Certificate: run/certificate.json")
    assert following == "next: lipsort verify run/certificate.json"
    certificate = json.loads((run / "certificate.json").read_text())
    assert certificate["claim"]["arithmetic"] == "binary32"
    assert [float.fromhex(e["eps"]) for e in certificate["summary"]["certified_at"]] == [0.1, 0.3]
    with (run / "points.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    radii = [float.fromhex(text) for text in certificate["points"]["radius"]]
    assert [float(row["certified_radius"]) for row in rows] == radii
    results = json.loads((run / "results.json").read_text())
    share = np.mean(np.array(radii) >= 0.1)
    assert results["certified_accuracy"]["eps"]["0.1"] == pytest.approx(share, abs=0.01)
    assert (run / "figures" / "certificate.png").stat().st_size > 1000

    done = lipsort("verify", "run/certificate.json", "--exact", cwd=run.parent)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("VALID") and "exact arithmetic" in done.stdout

    done = lipsort("export", "run", "points=64", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    for name in ("model.safetensors", "model.onnx", "model.pt2", "certificate.json"):
        assert (run / "export" / name).is_file(), name
    report = json.loads((run / "export" / "export.json").read_text())
    assert report["torch_export"]["within_bound"] and report["safetensors"]["within_bound"]
    folder = "run/export"
    assert lipsort("verify", folder, cwd=run.parent).returncode == 0
    onnx = lipsort("verify", folder, "--network", f"{folder}/model.onnx", cwd=run.parent)
    assert onnx.returncode == 0, onnx.stdout


SECOND_LOOKS = {
    # What is asked twice, then another question, and the message's words on the difference.
    "certify": (["points=5"], ["points=6"], "a certificate of another claim is refused"),
    "attack": (
        ["points=5"],
        ["points=6", "norm=linf"],
        "attack.json of norm=null (now linf), points=5 (now 6); hydra.run.dir=FOLDER",
    ),
    "inspect": (
        ["points=5"],
        ["points=6", "norm=linf"],
        "inspect.json of norm=null (now linf), points=5 (now 6); hydra.run.dir=FOLDER",
    ),
    "export": (
        ["points=5", "formats=[safetensors]"],
        ["points=6", "formats=[safetensors]"],
        "export.json of points=5 (now 6); hydra.run.dir=FOLDER",
    ),
    "predict": (
        ["data=new.npy"],
        ["data=new.npy", "norm=linf"],
        "predictions.json of norm=null (now linf); hydra.run.dir=FOLDER",
    ),
    "generalisation": (
        ["--delta", "0.1"],
        ["--delta", "0.2"],
        "generalisation.json of delta=0.1 (now 0.2); --out FOLDER",
    ),
}
"""Every command that writes into the run it looks at, where nothing else is said."""


def test_second_looks_are_all_there() -> None:
    looks = {one.name for one in COMMANDS.values() if one.takes}
    assert set(SECOND_LOOKS) == looks | {"generalisation"}


@pytest.mark.parametrize("command", SECOND_LOOKS)
def test_what_a_result_replaces_is_said(run: Path, tmp_path: Path, command: str) -> None:
    same, other, difference = SECOND_LOOKS[command]
    folder = tmp_path / "run"
    earlier = shutil.ignore_patterns("certificate*", "export", "attack.json", "inspect.json")
    shutil.copytree(run, folder, ignore=earlier)
    np.save(tmp_path / "new.npy", np.zeros((2, 1, 8, 8), np.float32))
    first, again, then = (
        lipsort(command, "run", *words, cwd=tmp_path) for words in (same, same, other)
    )
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "replaced" not in first.stdout + again.stdout, "one question asked twice"
    if command == "certify":
        assert then.returncode == 2 and "replace=true" in then.stderr
        return
    assert then.returncode == 0, then.stderr
    assert re.findall("replaced: .*", then.stdout) == [f"replaced: {difference} would keep both"]


def test_attack(run: Path) -> None:
    done = lipsort("attack", "run", "points=40", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    result = json.loads((run / "attack.json").read_text())
    assert result["soundness_failures"] == 0 and result["fooled"] > 20
    for key, share in result["certified_accuracy"]["eps"].items():
        assert share <= result["attacked_accuracy"]["eps"][key]
    with (run / "attack.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["smallest_distance_found"]]
    assert all(
        float(row["smallest_distance_found"]) > float(row["certified_radius"])
        for row in rows
        if float(row["certified_radius"]) > 0
    )


def test_a_forged_certificate_is_an_attack_that_succeeds(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With radii doubled the attack finds failures, prints them and fails."""
    honest = attack.certify_points

    def forged(*arguments: object, **options: object) -> object:
        points = honest(*arguments, **options)  # type: ignore[arg-type]
        return points._replace(radii=points.radii * 2)

    monkeypatch.setattr(attack, "certify_points", forged)
    config = AttackConfig(run=str(run), points=40, methods=["deepfool"])
    with pytest.raises(LipsortError, match="soundness failure"):
        attack.run(config, run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["certify", "run", "arithmetic=bf16"], "keeps so few bits"),
        (["certify", "run", "norm=l3"], "norm"),
        (["certify", "run", "eps=[-1]"], "eps"),
        (["certify", "missing"], "no such directory"),
        (["attack", "run", "methods=[magic]"], "methods"),
        (["export", "run", "formats=[pickle]"], "formats"),
    ],
)
def test_wrong_command_lines(run: Path, arguments: list[str], message: str) -> None:
    done = lipsort(*arguments, cwd=run.parent)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_verify_exit_codes(run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"format": "something else"}')
    assert lipsort("verify", str(tmp_path / "other.json"), cwd=tmp_path).returncode == 3
    done = lipsort("verify", str(tmp_path / "absent.json"), cwd=tmp_path)
    assert done.returncode == 2 and "lipsort certify RUN" in done.stderr and not done.stdout
    assert lipsort("verify", cwd=tmp_path).returncode == 2


def test_paths_that_do_not_exist_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_main([str(tmp_path)]) == 2
    said = capsys.readouterr().err  # the verifier knows of no runs, nor what could be certified
    assert f"{tmp_path} holds no certificate.json; give" in said
    assert f"lipsort certify {tmp_path}" not in said
    here = tmp_path / "certificate.json"
    here.write_text("{}")
    assert verify_main([str(tmp_path), "--network", str(tmp_path / "nofile")]) == 2
    assert f"--network: {tmp_path / 'nofile'} does not exist" in capsys.readouterr().err
    for option in ("data", "network"):
        assert verify_command(str(tmp_path), **{option: str(tmp_path / "nofile")}) == 2
        assert f"--{option}: {tmp_path / 'nofile'} does not exist" in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    assert verify_main([str(tmp_path), "--network", str(tmp_path / "folder")]) == 2
    assert f"--network: {tmp_path / 'folder'} is no file" in capsys.readouterr().err
    assert verify_command(str(tmp_path), data=str(tmp_path / "folder")) == 2
    assert "a folder without t10k-images-idx3-ubyte" in capsys.readouterr().err
    (tmp_path / "folder" / "t10k-images-idx3-ubyte.gz").write_bytes(b"")
    assert verify_command(str(tmp_path), data=str(tmp_path / "folder")) in (1, 3)
    here.write_text("[")
    assert verify_main([str(tmp_path)]) == 1
    with pytest.raises(SystemExit, match="0"):
        verify_main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "exit codes: 0 VALID; 1 INVALID; 2" in shown


def test_damaged_runs(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "model.safetensors").write_bytes(b"\x80\x04pickle")
    done = lipsort("certify", "run", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (copy / ".hydra" / "config.yaml").write_text("{")
    done = lipsort("certify", "run", cwd=tmp_path)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr


def write_npz(path: Path, seed: int = 0) -> None:
    generator = np.random.default_rng(seed)
    x = generator.random((120, 4), dtype=np.float32)
    y = (x[:, 0] > x[:, 1]).astype(np.int64)
    np.savez(path, x_train=x[:80], y_train=y[:80], x_test=x[80:], y_test=y[80:])


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in the L-infinity norm on a user's own arrays, named by a relative path."""
    folder = tmp_path_factory.mktemp("own")
    write_npz(folder / "mine.npz")
    done = lipsort(
        "train",
        "data=npz",
        "data.path=mine.npz",
        "model.widths=[8]",
        "training.epochs=1",
        "evaluation.norm=linf",
        "evaluation.eps=[0.02]",
        "evaluation.attack.points=0",
        "hydra.run.dir=run",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_relative_data_are_found_from_another_folder(own_data: Path) -> None:
    trained = open_run(own_data)
    assert len(trained.labels) == 40
    assert trained.config.data.path == str(own_data.parent / "mine.npz")


@pytest.mark.parametrize("command", ["certify", "attack", "export"])
def test_changed_data_are_refused(own_data: Path, tmp_path: Path, command: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(own_data, copy)
    write_npz(tmp_path / "mine.npz", seed=1)
    settings = copy / ".hydra" / "config.yaml"
    settings.write_text(
        re.sub(r"\S*mine\.npz", str(tmp_path / "mine.npz"), settings.read_text()), encoding="utf-8"
    )
    module = importlib.import_module(f"lipsort_cli.commands.{command}")
    config = {"certify": CertifyConfig, "attack": AttackConfig, "export": ExportConfig}[command]
    with pytest.raises(LipsortError, match="is not the data that .* was trained on"):
        module.run(config(run=str(copy)), copy)
    assert not (copy / "certificate.json").exists()
    record = json.loads((copy / "run.json").read_text())
    del record["data"]
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(LipsortError, match="does not say which data"):
        open_run(copy)


def test_norm_arithmetic_and_radii_are_those_of_the_run(own_data: Path) -> None:
    config, network = open_run(own_data).config, load_network(own_data / "model.safetensors")
    assert resolve_claim(config, network) == ("linf", "binary32", [0.02])
    assert resolve_claim(config, network, "linf") == ("linf", "binary32", [0.02])
    assert resolve_claim(config, network, "l2") == ("l2", "binary32", DEFAULT_EPS["l2"])
    asked = resolve_claim(config, network, "l2", "real", [0.5, 0.25])
    assert asked == ("l2", "real", [0.25, 0.5])


@pytest.mark.parametrize(
    ("words", "arithmetic"),
    [("evaluation.arithmetic=binary64", "binary64"), ("activation=tanh", "real")],
)
def test_what_follows_a_run_is_in_the_arithmetic_of_its_evaluation(
    words: str, arithmetic: str, tmp_path: Path
) -> None:
    for command in (
        ["train", words, "model.widths=[4]", "training.epochs=1", "evaluation.attack.points=5"],
        ["certify", "run", "points=5"],
        ["attack", "run", "points=5", "methods=[fgsm]"],
    ):
        done = lipsort(*command, "hydra.run.dir=run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    claim = json.loads((run / "certificate.json").read_text())["claim"]
    attacked = json.loads((run / "attack.json").read_text())
    trained = json.loads((run / "results.json").read_text())["certified_accuracy"]
    assert claim["arithmetic"] == attacked["arithmetic"] == trained["arithmetic"] == arithmetic
    assert open_predictor(run).arithmetic == arithmetic


def test_another_claim_does_not_take_the_place_of_one(own_data: Path, tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(own_data, run)
    shutil.copytree(own_data, other)
    settings = run / ".hydra" / "config.yaml"
    data = str(own_data.parent / "mine.npz")
    settings.write_text(re.sub(r"\S*mine\.npz", data, settings.read_text()))
    name = str(run)
    certify.run(CertifyConfig(run=name), run)
    first = (run / "certificate.json").read_bytes()
    certify.run(CertifyConfig(run=name, norm="linf", eps=[0.02]), run)
    assert (run / "certificate.json").read_bytes() == first
    for changes, named in (
        ({"norm": "l2"}, "norm linf .asked: l2."),
        ({"arithmetic": "real"}, "arithmetic binary32 .asked: real."),
        ({"points": 7}, "points 40 .asked: 7."),
        ({"eps": [0.5]}, r"eps \[0.02\] .asked: \[0.5\]."),
    ):
        with pytest.raises(UsageError, match=f"{named}.*hydra.run.dir=FOLDER.*replace=true"):
            certify.run(CertifyConfig(run=name, **changes), run)
    assert (run / "certificate.json").read_bytes() == first
    with pytest.raises(UsageError, match="holds another run"):
        certify.run(CertifyConfig(run=name, replace=True), other)
    folder = tmp_path / "beside"
    certify.run(CertifyConfig(run=name, norm="l2"), folder)
    assert json.loads((folder / "certificate.json").read_text())["claim"]["norm"] == "l2"
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(UsageError, match="another network"):
        certify.run(CertifyConfig(run=name, norm="l2"), folder)
    certify.run(CertifyConfig(run=name, arithmetic="real", replace=True), run)
    assert json.loads((run / "certificate.json").read_text())["claim"]["arithmetic"] == "real"
    (run / "certificate.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        certify.run(CertifyConfig(run=name, arithmetic="real"), run)


def test_attack_follows_the_run_and_names_what_comes_next(
    own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = AttackConfig(run=str(own_data), points=5, methods=["fgsm"])
    attack.run(config, tmp_path)
    assert json.loads((tmp_path / "attack.json").read_text())["norm"] == "linf"
    assert "next: lipsort certify" in " ".join(capsys.readouterr().out.split())
    certify.run(CertifyConfig(run=str(own_data)), own_data)
    bound = lipschitz_bound(load_network(own_data / "model.safetensors"), "linf").value
    printed = re.search(r"at most (\S+) \(proven\)", capsys.readouterr().out)
    assert printed and bound <= float(printed[1]) <= bound * (1 + 1e-8)
    attack.run(config, tmp_path)
    assert "next: lipsort export" in " ".join(capsys.readouterr().out.split())


def test_export_names_what_outputs_are_compared_with(
    own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export.run(ExportConfig(run=str(own_data), formats=["safetensors"], points=9), tmp_path)
    shown = " ".join(capsys.readouterr().out.split())
    assert "of what rounding can amount to (proven)" in shown and "certificate allows" not in shown
