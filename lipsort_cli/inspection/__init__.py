"""Looking inside a network: singular values, back-propagated gradients, activations.

Works on any ``nn.Sequential``, trained or loaded from its plain form. Every figure here is
empirical: measured at sample points.
"""

from lipsort_cli.inspection.activity import Activity, activities
from lipsort_cli.inspection.diagnostics import diagnostics
from lipsort_cli.inspection.jacobian import Depths, jacobians
from lipsort_cli.inspection.operators import Spectrum, layer_spectra

__all__ = [
    "Activity",
    "Depths",
    "Spectrum",
    "activities",
    "diagnostics",
    "jacobians",
    "layer_spectra",
]
