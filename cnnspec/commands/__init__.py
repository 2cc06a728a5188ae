"""The verbs of the command line: one file each, imported only when asked for."""

VERBS: dict[str, str] = {
    "init": "Write a starter spec that compiles.",
    "check": "Check specs: every error at once, with its place.",
    "show": "Print the graph, one node a line.",
    "summarize": "Print parameters, MACs and bytes per node and in total.",
    "compile": "Compile a spec and report what was proved.",
    "convolutionalize": "Turn a classifier's dense layers into convolutions.",
    "anchors": "Find anchors for the boxes of data.",
    "train": "Train a network.",
    "evaluate": "Say how often a trained network is right.",
    "predict": "Predict on images.",
    "plot": "Draw the graph: SVG, PNG, PDF, DOT or Mermaid.",
    "report": "Write all about a network into one HTML file.",
    "schema": "Print the JSON Schema of the spec language, for editors.",
    "list": "List the shipped specs, or the operators (list ops).",
    "doctor": "Say what is installed, and how to get what is not.",
}
