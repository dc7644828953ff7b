"""Measurements of allfast's own time, against the test bed; see README.md in this folder for how to read them."""
