"""OneNet for other runtimes: ONNX, and TensorRT made from it."""
