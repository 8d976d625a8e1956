"""The backend of threads. Its pauses suspend only the caller: a thread or a greenlet."""

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
