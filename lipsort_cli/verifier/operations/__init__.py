"""One module an operation; read only if a network names it. See :mod:`..operation`."""
