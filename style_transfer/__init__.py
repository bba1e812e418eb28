"""The package behind the style transfer script: settings, network, losses, filters, runs on disk.

The algorithm itself is at the top level, in `neural_style_transfer.py`, `evaluator.py` and
`preprocessing.py`; nothing here imports those.
"""
