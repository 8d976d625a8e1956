"""Pools as other people's metrics: ``fastpool.metrics.prometheus`` and ``fastpool.metrics.opentelemetry``.

Both only ever read ``pool.stats()``, when they are asked: a checkout costs nothing more for being measured.
"""
