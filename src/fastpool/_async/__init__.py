"""Pools of awaited connections, and tasks that use a pool of synchronous ones."""
