"""Opening connections: where to, within which time, how many at once."""
