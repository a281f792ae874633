#!/usr/bin/env python3
"""The floor of programming IPVS: a loop that only sends messages made beforehand, one at a time and many to a send.

floor.py SERVICES SERVERS, as root on a kernel with IPVS: seconds to add, edit and delete that many. Empties the table!
"""

import socket
import struct
import sys
import time

NETLINK_GENERIC, CONTROLLER = 16, 0x10
NEW_SERVICE, DEL_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST, FLUSH = 1, 3, 5, 6, 7, 8, 17
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
        self.socket.settimeout(30)
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

    def seconds(self, messages, batch):
        sends = [(b"".join(messages[at:at + batch]), len(messages[at:at + batch]))
                 for at in range(0, len(messages), batch)]
        began = time.monotonic()
        for octets, count in sends:
            self.socket.send(octets)
            self.read(count)
        return time.monotonic() - began


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


def report(services, servers):
    for batch in (1, BATCH):
        table = Table()
        table.seconds([table.message(FLUSH, b"", ACK)], 1)
        for what, messages in rows(table, services, servers).items():
            seconds = table.seconds(messages, batch)
            print("floor        %-36s %9.4f s  (%d messages, %d to a send)" % (what, seconds, len(messages), batch),
                  flush=True)
        table.seconds([table.message(FLUSH, b"", ACK)], 1)


if __name__ == "__main__":
    report(int(sys.argv[1]), int(sys.argv[2]))
