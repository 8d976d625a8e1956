"""Pools for particular kinds of connection; each module imports its library, so import only what you use."""
