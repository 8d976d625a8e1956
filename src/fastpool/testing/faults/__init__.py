"""A proxy that breaks connections on request."""
