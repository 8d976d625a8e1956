"""Ready-made drivers for ``fastpool.Pool``; each imports its library when it is first used."""
