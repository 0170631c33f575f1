"""Measurements of Trivium beside its limits and its peers. `make bench` runs them all; each module runs alone too."""
