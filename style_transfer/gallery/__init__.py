"""Many photographs in the manner of many paintings: the parts of gallery.py."""
