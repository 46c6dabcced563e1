"""A page that runs the ONNX file in the browser."""
