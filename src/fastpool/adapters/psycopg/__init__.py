from .errors import PoolClosed, PoolTimeout, TooManyRequests
from .pool import ConnectionPool
