"""What holds for all tests: how long a drawn example may take is a question of the machine, not of right or wrong; and
Ctrl-C interrupts, also where a shell started the run in the background and so had it ignored."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
