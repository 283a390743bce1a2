"""Networks from elsewhere: ONNX files and torch modules, as the layers that certificates know.

A file is read by the official ``onnx`` package (checker, shape inference, and its own reference
evaluator for all that only computes shapes or moves numbers). Every node is either understood or
refused by name. What comes out is a :class:`lipsort_cli.verifier.graph.Network`: the network that
is certified is that one, compared with the file's own outputs.
"""
