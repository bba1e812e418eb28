"""Clips: reads and writes them, finds their motion, and paints them frame by frame."""
