"""Many photographs in the manner of many paintings: what gallery.py at the top level is made of."""
