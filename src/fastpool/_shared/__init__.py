"""Pools of one `shared` name in all processes of a user: one page of memory, one cap on their connections."""
