"""Drawings of a graph: a scene of boxes, clusters and edges, and the forms it is written in."""
