"""The pictures of the pages: `make figures` draws them from JSON and from a recorded terminal (README.md says how)."""
