"""Style networks: a network is trained for one style, then paints each picture in one pass.

Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
arXiv 1603.08155, with instance normalization (Ulyanov et al., arXiv 1607.08022).
"""
