"""torch's Adam on lists of tensors, in one pass over memory where torch offers that."""

from __future__ import annotations

from torch import Tensor
from torch.optim.adam import adam

Tensors = list[Tensor]


def adam_step_(
    parameters: Tensors,
    gradients: Tensors,
    means: Tensors,
    squares: Tensors,
    steps: Tensors,
    *,
    lr: float,
    betas: tuple[float, float],
    weight_decay: float = 0.0,
) -> None:
    """One step of Adam (Kingma and Ba, ICLR 2015) of ``parameters``, in place.

    Moments ``means`` and ``squares`` have the shapes of the parameters; ``steps`` are scalar
    tensors, which count.
    """
    # On other devices the fused kernel wants its counters there; torch's own choice does not.
    fused = True if parameters[0].device.type == "cpu" else None
    adam(
        parameters,
        gradients,
        means,
        squares,
        [],
        steps,
        fused=fused,
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=lr,
        weight_decay=weight_decay,
        eps=1e-8,
        maximize=False,
    )
