"""A module for each format: `write` leaves its files in a folder and returns what runs them."""

WEIGHTS = "safetensors"
FORMATS = ("torch_export", "onnx", WEIGHTS, "mlflow", "sagemaker")
