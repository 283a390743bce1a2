"""A module that somebody made of lipsort's layers, as the file that certificates are about."""

from __future__ import annotations

import torch
from torch import nn

from lipsort_cli.errors import UsageError
from lipsort_cli.layers.base import evaluating
from lipsort_cli.verifier.errors import Refused
from lipsort_cli.verifier.graph import parse_network
from lipsort_cli.zoo import Network, network_bytes, network_graph
from lipsort_cli.zoo.operations import Altered, NoPlainForm
from lipsort_cli.zoo.plain import plain_module


def module_bytes(module: nn.Module, shape: tuple[int, ...]) -> bytes:
    """The content of a ``model.safetensors`` for a module of lipsort's layers.

    Raises:
        UsageError: a layer has no plain form, its weights are not float32 or not finite, ``shape``,
            of one input, does not fit, or the module computes something else than its layers one
            after the other.
    """
    kinds = {str(p.dtype) for p in module.parameters()} - {"torch.float32"}
    if kinds:
        raise UsageError(
            f"network: found weights of {', '.join(sorted(kinds))}; certificates are about weights "
            "of float32: convert the module with .float()"
        )
    where = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        with evaluating(module), torch.no_grad():
            chain = Network([module], shape, 0).eval()
            network_graph(chain)  # what is refused of the layers is said before they compute
            chain.outputs = chain(torch.zeros(1, *shape, device=where)).shape[1]
            found = network_bytes(chain)
            _refuse_another(module, found, shape)
        return found
    except Altered as error:
        raise UsageError(f"network: {error}; {_ELSE}") from error
    except NoPlainForm as error:
        layer = str(error).partition(":")[0]
        raise UsageError(
            f"network: found {layer}; allowed: layers of lipsort's; {_ELSE}"
        ) from error
    except Refused as error:
        field = error.field.removeprefix("network.graph.")
        raise UsageError(f"network: {field}: {error.reason}") from None
    except (TypeError, RuntimeError, IndexError, ValueError, AttributeError) as error:
        raise UsageError(f"network: {error}; inputs are of shape {list(shape)}") from error


_ELSE = "another module becomes a run with lipsort_cli.from_torch(module, input_shape)"


def _refuse_another(module: nn.Module, content: bytes, shape: tuple[int, ...]) -> None:
    """Refuse a module, in evaluation, that is another than its layers at random inputs."""
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(16, *shape, generator=generator)
    where = next((p.device for p in module.parameters()), torch.device("cpu"))
    there = module(probe.to(where))
    here = plain_module(parse_network(content))(probe)
    size = float(torch.nan_to_num(here, 0.0, 0.0, 0.0).abs().max())
    same = isinstance(there, torch.Tensor) and there.shape == here.shape
    if not same or not torch.allclose(there.to(here), here, 1e-4, 1e-4 * size, equal_nan=True):
        raise UsageError(
            "network: found one that computes something else than its layers do one after the "
            f"other; allowed: lipsort's layers in nn.Sequential; {_ELSE}"
        )
