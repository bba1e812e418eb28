"""Measurements of speed and memory, and of runs that are killed."""
