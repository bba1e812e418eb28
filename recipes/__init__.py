"""Experiments from the literature, each a short script on top of `transfer`."""
