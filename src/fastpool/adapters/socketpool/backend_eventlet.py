"""The backend of eventlet: TcpConnector and UnixConnector have eventlet's sockets. ImportError without eventlet."""

import eventlet.green.select
import eventlet.green.socket
import eventlet.queue
import eventlet.semaphore

from ..._core.greenlets import pause as sleep
from .reaper import ConnectionReaper

Socket = eventlet.green.socket.socket
Select = eventlet.green.select.select
Semaphore = eventlet.semaphore.BoundedSemaphore
PriorityQueue = eventlet.queue.PriorityQueue

__all__ = ["ConnectionReaper", "PriorityQueue", "Select", "Semaphore", "Socket", "sleep"]
