"""Metrics of pools for other libraries: ``fastpool.metrics.prometheus`` and ``fastpool.metrics.opentelemetry``.

Both only read ``pool.stats()``, when numbers are collected: a checkout costs no more with them than without.
"""
