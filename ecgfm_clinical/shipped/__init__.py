"""The recordings that ship with the package."""
