#!/usr/bin/env python3
"""The floor of programming IPVS: a loop that only sends messages made beforehand, one at a time and many to a send; in the
last case with all of them acknowledged, and with the last of each send only, so that there is nothing to read for the others.

floor.py SERVICES SERVERS, as root on a kernel with IPVS: seconds to add, edit and delete that many, each time in a network
namespace of its own: for two minutes the kernel looks for each destination that is added among all that were deleted.
HOLDFAST_BENCH_ESTIMATION=0 switches the kernel's estimators off (net.ipv4.vs.run_estimation).
"""

import ctypes
import os
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
NETLINK_GENERIC, CONTROLLER = 16, 0x10
NEW_SERVICE, DEL_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 1, 3, 5, 6, 7, 8
REQUEST, ACK, DUMP = 1, 4, 0x300
# Acknowledgements of one send must fit the default receive buffer.
BATCH = 128


def attribute(kind, value):
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def address(text):
    return socket.inet_aton(text) + bytes(12)


class Table:
    """A netlink socket to IPVS."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.bind((0, 0))
        # Not settimeout(), which asks the kernel twice for each send and each answer.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 30, 0))
        self.family, self.sequence = CONTROLLER, 0
        self.socket.send(self.message(3, attribute(2, b"IPVS\0"), ACK))
        answer = self.socket.recv(65536)
        at = 20
        while at < len(answer):
            length, kind = struct.unpack_from("=HH", answer, at)
            if kind == 1:
                self.family = struct.unpack_from("=H", answer, at + 4)[0]
                break
            at += (length + 3) & ~3
        self.read(1)

    def message(self, command, body, flags):
        self.sequence += 1
        head = struct.pack("=IHHIIBBH", 20 + len(body), self.family, REQUEST | flags, self.sequence, 0, command, 1, 0)
        return head + body

    def service(self, address_text, port, whole=True):
        body = attribute(1, struct.pack("=H", socket.AF_INET)) + attribute(2, struct.pack("=H", 6))
        body += attribute(3, address(address_text)) + attribute(4, struct.pack(">H", port))
        if whole:
            body += attribute(6, b"wlc\0") + attribute(7, struct.pack("=II", 0, 0xffffffff))
            body += attribute(8, struct.pack("=I", 0)) + attribute(9, b"\xff" * 4)
        return attribute(0x8001, body)

    def destination(self, address_text, port, weight=None):
        body = attribute(11, struct.pack("=H", socket.AF_INET)) + attribute(1, address(address_text))
        body += attribute(2, struct.pack(">H", port))
        if weight is not None:
            for kind, value in ((3, 3), (4, weight), (5, 0), (6, 0)):
                body += attribute(kind, struct.pack("=I", value))
        return attribute(0x8002, body)

    def read(self, verdicts):
        """Reads until so many acknowledgements have come; the first refusal is raised."""
        while verdicts > 0:
            answer = self.socket.recv(65536)
            at = 0
            while at < len(answer):
                length, kind = struct.unpack_from("=IH", answer, at)
                if kind == 2:
                    verdicts -= 1
                    error = struct.unpack_from("=i", answer, at + 16)[0]
                    if error:
                        raise OSError(-error, "IPVS refuses")
                at += (length + 3) & ~3

    def destinations(self, address_text, port):
        """How many destinations a service has."""
        self.socket.send(self.message(GET_DEST, self.service(address_text, port, False), DUMP))
        count = 0
        while True:
            answer = self.socket.recv(65536)
            at = 0
            while at < len(answer):
                length, kind = struct.unpack_from("=IH", answer, at)
                if kind == 3:
                    return count
                count += kind == self.family
                at += (length + 3) & ~3

    def seconds(self, messages, batch, quiet=False):
        """How long it takes; `quiet`: only the last of each send is acknowledged. What is refused is said in any case."""
        rows = [messages[at:at + batch] for at in range(0, len(messages), batch)]
        if quiet:
            rows = [[unacknowledged(message) for message in row[:-1]] + row[-1:] for row in rows]
        sends = [(b"".join(row), 1 if quiet else len(row)) for row in rows]
        began = time.monotonic()
        for octets, count in sends:
            self.socket.send(octets)
            self.read(count)
        return time.monotonic() - began


def unacknowledged(message):
    return message[:6] + struct.pack("=H", REQUEST) + message[8:]


def rows(table, services, servers):
    """The messages that make, change and remove the bench's table."""
    add, edit, delete = [], [], []
    names = [("192.0.%d.%d" % (n // 250, n % 250 + 1), n) for n in range(services)]
    for name, _ in names:
        add.append(table.message(NEW_SERVICE, table.service(name, 80), ACK))
    for name, n in names:
        for server in range(servers):
            service = table.service(name, 80, False)
            # More than 250 to a service differ by port.
            where = ("10.%d.%d.%d" % (server % 250 + 1, n // 250, n % 250 + 1), 80 + server // 250)
            add.append(table.message(NEW_DEST, service + table.destination(*where, 1), ACK))
            edit.append(table.message(SET_DEST, service + table.destination(*where, 2), ACK))
            delete.append(table.message(DEL_DEST, service + table.destination(*where), ACK))
    return {"add all rows": add, "edit all destinations": edit, "delete all destinations": delete}


def leave_namespace():
    """This process goes on in a network namespace of its own, with a table of its own. Every real server is this machine."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "local", "10.0.0.0/8", "dev", "lo"], check=True)
    if os.environ.get("HOLDFAST_BENCH_ESTIMATION"):
        with open("/proc/sys/net/ipv4/vs/run_estimation", "w") as switch:
            switch.write(os.environ["HOLDFAST_BENCH_ESTIMATION"])


def report_one(services, servers, batch, quiet):
    leave_namespace()
    table = Table()
    for what, messages in rows(table, services, servers).items():
        seconds = table.seconds(messages, batch, quiet)
        print("floor        %-36s %9.4f s  (%d messages, %d to a send%s)" % (
            what, seconds, len(messages), batch, ", one acknowledgement" if quiet else ""), flush=True)


def report(services, servers):
    for batch, quiet in ((1, False), (BATCH, False), (BATCH, True)):
        child = os.fork()
        if child == 0:
            report_one(services, servers, batch, quiet)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit("the floor was not measured")


if __name__ == "__main__":
    report(int(sys.argv[1]), int(sys.argv[2]))
