"""What holds for all tests: how long a drawn example may take is a question of the machine, not of right or wrong."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
