"""Small servers for the examples, in threads of the test: the parts of HTTP, SMTP and IMAP that are needed."""

import contextlib
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def serving(server):
    """Serve in threads until the block ends; yields the server with its ``address`` and the list ``saw`` of what it
    received."""
    server.daemon_threads = True
    server.saw, server.clients = [], []
    server.address = "{}:{}".format(*server.server_address)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open

    def do_GET(self):
        self.server.saw.append((self.client_address[1], self.path))
        bodies = {"/empty": b"", "/none": b"no such page"}
        body = bodies.get(self.path, f"{self.path} from {self.server.address}".encode())
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def http_server():
    return serving(ThreadingHTTPServer(("127.0.0.1", 0), Page))


class Lines(socketserver.StreamRequestHandler):
    """A line protocol: send a greeting, then answer each line until told to stop."""

    hello = b""

    def handle(self):
        self.server.clients.append(self.connection)
        self.say(self.hello)
        for line in self.rfile:
            words = line.decode().split()
            self.server.saw.append((self.client_address[1], words))
            if self.answer(words) is False:
                return

    def say(self, *lines):
        self.wfile.write(b"".join(line + b"\r\n" for line in lines))

    def answer(self, words):
        raise NotImplementedError


class Smtp(Lines):
    hello = b"220 small"

    def answer(self, words):
        word = words[0].upper()
        if word == "DATA":
            self.say(b"354 go on")
            text = b""
            for line in self.rfile:
                if line == b".\r\n":
                    break
                text += line
            self.server.mails.append(text.decode())
            self.say(b"250 kept")
        elif word == "RCPT" and "nobody" in words[1]:
            self.say(b"550 who?")
        elif word == "QUIT":
            self.say(b"221 bye")
            return False
        else:
            self.say(b"250 ok")
        return True


class Imap(Lines):
    hello = b"* OK small"
    capabilities = b"IMAP4REV1"

    def answer(self, words):
        tag, word = words[0].encode(), words[1].upper()
        if word == "CAPABILITY":
            self.say(b"* CAPABILITY " + self.capabilities, tag + b" OK done")
        elif word == "LOGIN" and words[3] != '"secret"':
            self.say(tag + b" NO never")
        elif word in ("SELECT", "EXAMINE"):
            known = words[2] == "INBOX"
            self.say(*([b"* 3 EXISTS", tag + b" OK [READ-ONLY] selected"] if known else [tag + b" NO never"]))
        elif word == "LOGOUT":
            self.say(b"* BYE", tag + b" OK done")
            return False
        else:
            self.say(tag + b" OK done")
        return True


@contextlib.contextmanager
def line_server(handler):
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)) as server:
        server.mails = []
        yield server


def commands(server):
    """The commands that a line server received, without tags and arguments."""
    place = 1 if issubclass(server.RequestHandlerClass, Imap) else 0
    return [words[place].upper() for _, words in server.saw]
