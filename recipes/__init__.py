"""Experiments of the literature, each a short script on top of `transfer`."""
