"""`lipsort certify RUN`: issues a certificate for a run, and says what it claims."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.certificates.claims import Claim, protect
from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.files import CERTIFICATE
from lipsort_cli.certificates.points import certified_accuracy, load_network
from lipsort_cli.certificates.predictions import deviation_radii, divides_first
from lipsort_cli.config.certificates import CertifyConfig
from lipsort_cli.console import console, follow_up, plural, results_line, show_table
from lipsort_cli.directed_text import at_least, at_most, share_down
from lipsort_cli.errors import UsageError
from lipsort_cli.figures.robustness import draw_robustness
from lipsort_cli.norms import route_words
from lipsort_cli.runs import read_record
from lipsort_cli.trained import CLASSIFIERS, open_run, resolve_claim, say_taken


def run(config: CertifyConfig, directory: Path) -> None:
    """Certify ``config.run``: a classifier's test points, or the distance that a critic proves."""
    if read_record(Path(config.run))["command"] in CLASSIFIERS:
        _certify_classifier(config, directory)
    else:
        _certify_critic(config, directory)


def _certify_critic(config: CertifyConfig, directory: Path) -> None:
    from lipsort_cli.gan.runs import open_critic
    from lipsort_cli.wasserstein.bounds import certificate

    if config.data is not None:
        raise UsageError(f"data: found {config.data.name}; a critic has samples: leave it out")
    if config.eps is not None:
        raise UsageError(
            f"eps: found {config.eps}; a critic's certificate states a distance between two "
            "samples, and no radii: leave it out"
        )
    if config.arithmetic not in (None, "real"):
        raise UsageError(
            f"arithmetic: found {config.arithmetic}; a critic's certificate is stated in real "
            "arithmetic: leave it out"
        )
    run = open_critic(config.run, config.points)
    larger = max(len(run.samples.x), len(run.samples.y))
    say_taken(config.points, larger, "the larger sample")
    norm = run.norm if config.norm is None else config.norm
    claim = Claim("w1_lower_bound", norm, "real", larger, ())
    protect(directory, run.network, claim, replace=config.replace)
    value = certificate(directory, run.network, run.samples, norm, run.name)
    console.print(
        f"W1 of the two samples, {len(run.samples.x):,} and {plural(len(run.samples.y), 'point')}, "
        f"in {norm}: at least {at_least(value)} (proven, in real arithmetic)"
    )
    results_line("Certificate", directory / CERTIFICATE, "with certificate-data.safetensors")
    follow_up("lipsort", "verify", directory / CERTIFICATE)


def _certify_classifier(config: CertifyConfig, directory: Path) -> None:
    trained = open_run(config.run, config.points, config.data)
    say_taken(config.points, len(trained.labels), "the test set")
    network = load_network(trained.network)
    norm, arithmetic, eps = resolve_claim(
        trained.config, network, config.norm, config.arithmetic, config.eps
    )
    claim = Claim.of_points(trained.inputs, trained.labels, norm, arithmetic, eps)
    protect(directory, trained.network, claim, replace=config.replace)
    issued = issue_certificate(
        directory,
        trained.network,
        trained.inputs,
        trained.labels,
        norm=norm,
        arithmetic=arithmetic,
        eps=eps,
        source=f"{trained.name}, test set, first {plural(len(trained.labels), 'point')}",
    )
    points = issued.points
    clean = float((points.predictions == trained.labels).mean())
    header, columns = ["radius", "certified (proven)"], [certified_accuracy(points, eps)]
    if divides_first(network):
        header.append("radius in standard\ndeviations (proven)")
        radii = deviation_radii(network, trained.inputs, trained.labels, norm=norm)
        columns.append(certified_accuracy(points._replace(radii=radii), eps))
    show_table(
        header,
        [(key, *(share_down(shares[key]) for shares in columns)) for key in columns[0]],
        title=f"{plural(len(points.radii), 'test point')}, {norm}, {arithmetic} arithmetic",
    )
    console.print(issued.statement)
    if len(columns) > 1:
        console.print(
            "The certificate states radii in raw units; those in standard deviations hold in real "
            "arithmetic, and `lipsort verify` does not look at them."
        )
    console.print(
        f"Lipschitz constant of the network: at most {at_most(points.lipschitz, 9)} (proven); "
        f"radii: {route_words(points.shares()) or 'none'}"
    )
    draw_robustness(
        directory / "figures" / "certificate.png",
        points.radii,
        norm=norm,
        title=f"{trained.name}: certified in {arithmetic} arithmetic",
        clean=clean,
        attacked={},
        eps=eps,
    )
    results_line("Certificate", issued.path, "with points.csv", "figures/certificate.png")
    follow_up("lipsort", "verify", issued.path)
