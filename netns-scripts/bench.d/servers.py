"""The real servers of a bench: a process that accepts and closes; and one port whose server dies and returns by order."""

import os
import select
import signal
import socket
import time

import floor

# The port of the one server that dies and returns while the others live.
WATCHED = 81
# Longest wait for one change to be seen in the table.
LIMIT = 30


def listener(port):
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("", port))
    bound.listen(4096)
    return bound


class Servers:
    """Port 80 of every address of this machine, and port WATCHED."""

    def __init__(self):
        mass = listener(80)
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                mass.accept()[0].close()
        mass.close()
        self.watched = listener(WATCHED)
        # Accepts by itself: the backlog holds what the checks of one bench leave in it.
        os.set_blocking(self.watched.fileno(), False)

    def die(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        if self.watched:
            self.watched.close()
            self.watched = None

    def serve(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.watched is None:
                time.sleep(end - time.monotonic())
            elif select.select([self.watched], [], [], max(0, end - time.monotonic()))[0]:
                self.watched.accept()[0].close()

    def flips(self, count):
        """Seconds from the last refusal that the watched server's port sent to the table without it, `count` times."""
        table = floor.Table()
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        wire.bind(("lo", 0x0800))
        wire.setblocking(False)
        for _ in range(count):
            self.serve(3)
            while table.destinations("192.0.0.1", 80) == 0:
                self.serve(0.1)
            before = table.destinations("192.0.0.1", 80)
            self.watched.close()
            self.watched = None
            yield self.gone(table, wire, before)
            self.watched = listener(WATCHED)
            while table.destinations("192.0.0.1", 80) != before:
                self.serve(0.1)

    @staticmethod
    def gone(table, wire, before):
        end, refused = time.monotonic() + LIMIT, None
        while time.monotonic() < end:
            readable, _, _ = select.select([wire], [], [], 0.002 if refused else 1)
            while readable:
                try:
                    packet = wire.recv(128)
                except BlockingIOError:
                    break
                if is_refusal(packet):
                    refused = time.monotonic()
            if refused and table.destinations("192.0.0.1", 80) != before:
                return time.monotonic() - refused
        raise SystemExit("the watched server stays in the table")


def is_refusal(packet):
    """A TCP segment with RST from port WATCHED."""
    head = (packet[0] & 15) * 4
    return packet[9] == 6 and packet[head:head + 2] == WATCHED.to_bytes(2, "big") and packet[head + 13] & 4 != 0
