"""Plain connections, for tests of what is reported."""


class Plain:
    def close(self):
        pass


def refuse():
    raise ConnectionRefusedError(111, "Connection refused")
