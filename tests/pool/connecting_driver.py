"""A driver and a clock for the tests of connecting: servers can be down, or take time."""

import random

from fastpool import Driver
from fastpool._config import Config
from fastpool._connecting.connector import Connector

A, B, C = ("a", 1), ("b", 2), ("c", 3)
NAMES = ["a:1", "b:2", "c:3"]


class Refused(Exception):
    """Raised by the driver for a server that refuses."""


class TimedDriver(Driver):
    """A driver and a clock: servers can be down, or take time."""

    def __init__(self):
        self.now = 100.0
        self.down = {}
        self.takes = {}
        self.asked = []
        self.events = []
        self.leased = {}

    def clock(self):
        return self.now

    def tell(self, name, **fields):
        self.events.append((name, fields))

    def connect(self, server, timeout):
        self.asked.append((server, timeout))
        self.now += self.takes.get(server, 0)
        if server in self.down:
            raise self.down[server](f"{server} says no")
        return f"connection to {server}"

    def refuse(self, *servers, error=Refused):
        self.down |= dict.fromkeys(servers, error)

    def heal(self, *servers):
        for server in servers:
            del self.down[server]

    def connector(self, seed=1, **options):
        return Connector(self, Config.build(**options), self.tell, self.clock, random.Random(seed))

    def told(self, name):
        return [fields for what, fields in self.events if what == name]

    def servers_asked(self):
        return [server for server, _ in self.asked]


def open_(connector, driver, timeout=None):
    return connector.open(None, timeout, lambda: driver.leased)
