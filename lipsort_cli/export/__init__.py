"""Plain networks for deployment: safetensors, ONNX, torch.export; constraints folded in."""
