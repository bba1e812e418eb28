"""Writes everything that a run leaves on disk, and reads it back.

    PREFIX_at_iteration_N.png   the picture after iteration N
    PREFIX.png                  the result (these two end in .tif with --output tiff16)
    PREFIX.json                 the record
    PREFIX_state/               what a resume needs: images in float32, the journal, the lock

Every file appears whole or not at all. Only the journal grows in place; its entries have checksums.
"""
