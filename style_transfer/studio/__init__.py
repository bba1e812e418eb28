"""The web page: its form, its runs, its pictures, and what it refuses."""
