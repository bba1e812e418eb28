"""Clips: reading and writing them, the motion in them, and painting them frame after frame."""
