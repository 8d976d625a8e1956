"""The compiled core, and the little Python that belongs to it. docs/core.md explains it."""

from .compat import (
    lacks as lacks,
)
from .core import (
    EVENT_NAMES as EVENT_NAMES,
)
from .core import (
    KEEPER_POST as KEEPER_POST,
)
from .core import (
    REASONS as REASONS,
)
from .core import (
    SHARED_BITS as SHARED_BITS,
)
from .core import (
    SHARED_LAYOUT as SHARED_LAYOUT,
)
from .core import (
    STEP_CHECK as STEP_CHECK,
)
from .core import (
    STEP_CLOSE as STEP_CLOSE,
)
from .core import (
    STEP_CONNECT as STEP_CONNECT,
)
from .core import (
    STEP_READY as STEP_READY,
)
from .core import (
    STEP_RESET as STEP_RESET,
)
from .core import (
    STEP_WAIT as STEP_WAIT,
)
from .core import (
    AnyLease as AnyLease,
)
from .core import (
    AsyncLease as AsyncLease,
)
from .core import (
    AwaitingCore as AwaitingCore,
)
from .core import (
    AwaitingDefaultedCore as AwaitingDefaultedCore,
)
from .core import (
    AwaitingPrefixedCore as AwaitingPrefixedCore,
)
from .core import (
    BlockingCore as BlockingCore,
)
from .core import (
    Cell as Cell,
)
from .core import (
    Checkin as Checkin,
)
from .core import (
    Checkout as Checkout,
)
from .core import (
    Core as Core,
)
from .core import (
    DefaultedCore as DefaultedCore,
)
from .core import (
    Desk as Desk,
)
from .core import (
    Entry as Entry,
)
from .core import (
    Job as Job,
)
from .core import (
    Lease as Lease,
)
from .core import (
    PoolInner as PoolInner,
)
from .core import (
    Post as Post,
)
from .core import (
    PrefixedCore as PrefixedCore,
)
from .core import (
    Register as Register,
)
from .core import (
    Section as Section,
)
from .core import (
    Selection as Selection,
)
from .core import (
    SharedMember as SharedMember,
)
from .core import (
    WaiterHandle as WaiterHandle,
)
from .core import (
    built_with as built_with,
)
from .core import (
    clock as clock,
)
from .core import (
    clock_is_stopped as clock_is_stopped,
)
from .core import (
    clock_stop as clock_stop,
)
from .core import (
    deadline_after as deadline_after,
)
from .core import (
    do_without as do_without,
)
from .core import (
    end_lease as end_lease,
)
from .core import (
    histogram_edges as histogram_edges,
)
from .core import (
    loop_of_thread as loop_of_thread,
)
from .core import (
    pools_here as pools_here,
)
from .core import (
    private_in_use as private_in_use,
)
from .core import (
    private_known as private_known,
)
from .core import (
    rebind as rebind,
)
from .core import (
    running_task as running_task,
)
from .core import (
    seconds_to_ns as seconds_to_ns,
)
from .core import (
    thread_is_alive as thread_is_alive,
)
