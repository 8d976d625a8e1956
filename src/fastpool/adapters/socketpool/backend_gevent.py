"""The backend of gevent: TcpConnector and UnixConnector have gevent's sockets. ImportError without gevent."""

import gevent.lock
import gevent.queue
import gevent.select
import gevent.socket

from ..._core.greenlets import pause as sleep
from .reaper import ConnectionReaper

Socket = gevent.socket.socket
Select = gevent.select.select
Semaphore = gevent.lock.BoundedSemaphore
PriorityQueue = gevent.queue.PriorityQueue

__all__ = ["ConnectionReaper", "PriorityQueue", "Select", "Semaphore", "Socket", "sleep"]
