"""Reads the keys for `fastpool top`: its thread sleeps until one is pressed.

textual's own wakes ten times a second, to see whether it must end, and whether an Escape was the key or the beginning
of another: a quarter of what `fastpool top` takes. Here a pipe tells of the end, and the time is looked at only for a
second after each key. Where textual is not as it was when this was written, its own thread does the work.
"""

from __future__ import annotations

import codecs
import os
import select
import time
from typing import Any

from textual.drivers import linux_driver

_LOOK_S = 0.1  # as textual does
_AWAKE_S = 1.0  # after a key; that an Escape stands alone is known after a tenth of that
_PARSER: Any = getattr(linux_driver, "XTermParser", None)


class KeysDriver(linux_driver.LinuxDriver):
    """textual's driver for terminals, whose thread that reads the keys sleeps."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ended, self._end = os.pipe()  # for as long as the process: after Ctrl-Z, textual begins again

    def disable_input(self) -> None:
        """Tell the thread to end; textual waits for that."""
        os.write(self._end, b"\0")
        super().disable_input()
        os.read(self._ended, 1)

    def run_input_thread(self) -> None:
        """Hand each key to textual as soon as it is pressed."""
        known = hasattr(self, "fileno") and hasattr(linux_driver.LinuxDriver, "disable_input")
        if not known or not hasattr(_PARSER, "feed") or not hasattr(_PARSER, "tick"):
            super().run_input_thread()
            return
        parser = _PARSER()
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        awake_until = time.monotonic() + _AWAKE_S
        while True:
            patience = _LOOK_S if time.monotonic() < awake_until else None
            ready, _, _ = select.select([self.fileno, self._ended], [], [], patience)
            if self._ended in ready:
                return
            if self.fileno in ready:
                data = os.read(self.fileno, 4096)
                if not data:
                    return  # there is no terminal, or none any more
                awake_until = time.monotonic() + _AWAKE_S
                for event in parser.feed(decode(data)):
                    self.process_message(event)
            for event in parser.tick():
                self.process_message(event)
