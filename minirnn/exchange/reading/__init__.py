"""ONNX files that anybody wrote, read as models of this framework's layers."""
