"""Frames painted by a style network, one pass each, and blended along the motion."""


class ByNetwork:
    pass
