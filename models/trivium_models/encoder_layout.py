"""Names of files in the Hugging Face ONNX layout of text encoders."""

CONFIG_NAME = "config.json"
# Where the graph may lie, best first: as optimum writes it, and as the hub keeps it beside other formats.
GRAPH_NAMES = ("model.onnx", "onnx/model.onnx")
