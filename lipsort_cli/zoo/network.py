"""The network that every command trains: layers in a row, with the shape of its input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from lipsort_cli.layers import Normalize


class Network(nn.Sequential):
    """Layers applied one after the other to [N, *input_shape], giving [N, outputs].

    The last layer is the head. Of a classifier it is a :class:`~lipsort_cli.layers.Dense`, whose
    rows a margin is measured between, a :class:`~lipsort_cli.layers.distance.Distance`, or a
    :class:`~lipsort_cli.layers.order.Versus`.
    """

    def __init__(
        self, layers: Iterable[nn.Module], input_shape: Sequence[int], outputs: int
    ) -> None:
        super().__init__(*layers)
        self.input_shape = tuple(input_shape)
        self.outputs = outputs

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self[len(self) - 1]

    def centered(self, inputs: Tensor) -> Network:
        """The same layers behind one that takes off the mean of each channel of ``inputs``.

        Distances stay what they are. Large means, which all classes share, otherwise dominate the
        direction that a step of fixed spectral length takes.
        """
        channels = inputs.transpose(0, 1).flatten(1)
        mean = channels.double().mean(1).tolist()
        return self.behind(mean, [1.0] * len(mean))

    def behind(self, mean: Sequence[float], std: Sequence[float]) -> Network:
        """The same layers behind one that takes off ``mean`` and divides by ``std``, a channel."""
        return Network([Normalize(mean, std), *self], self.input_shape, self.outputs)
