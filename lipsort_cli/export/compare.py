"""Whether an exported network computes what the certificate is about, within its bound."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.certificates import Network, evaluate


class Agreement(NamedTuple):
    """Largest difference of a logit from its true value, over the points' proven bound."""

    largest_difference: float
    largest_share_of_bound: float

    @property
    def within(self) -> bool:
        """Whether every output lies within the bound."""
        return self.largest_share_of_bound <= 1


def compare(
    network: Network, inputs: NDArray[np.float32], outputs: NDArray[np.float32]
) -> Agreement:
    """Compare ``outputs [N, C]`` with the network's true logits at ``inputs [N, ...]``.

    The bound is that of binary32 in any summation order (``evaluate``), plus what binary64 lost
    in computing the reference. Networks with tanh or sigmoid have no such bound; for them the
    figure is taken against 1e-5 of the largest logit.
    """
    reference = evaluate(network, inputs, "real")
    if network.smooth():
        bound = np.full(len(inputs), 1e-5 * max(1.0, float(np.abs(reference.logits).max())))
    else:
        bound = evaluate(network, inputs, "binary32").error
    difference = np.abs(outputs.astype(np.float64) - reference.logits).max(axis=1)
    share = np.where(np.isnan(difference), np.inf, difference / np.maximum(bound, 1e-300))
    return Agreement(float(difference.max()), float(share.max()))
