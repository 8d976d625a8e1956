"""The backend of threads. What waits here does so in the way of its caller, greenlets included."""

import queue
import select
import socket
import threading

from ..._core.greenlets import pause as sleep
from .reaper import ConnectionReaper

Socket = socket.socket
Select = select.select
Semaphore = threading.BoundedSemaphore
PriorityQueue = queue.PriorityQueue

__all__ = ["ConnectionReaper", "PriorityQueue", "Select", "Semaphore", "Socket", "sleep"]
