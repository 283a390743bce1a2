"""Looking inside a network: singular values, back-propagated gradients, activations.

Works on any ``nn.Sequential``, trained or loaded from its plain form. Every figure here is
empirical: measured at sample points.
"""
