"""Events, statistics and reports of a pool."""
