"""The command `fastpool`."""
