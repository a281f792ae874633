"""Pulls the master's cables and asks every virtual address who has it. Runs in the namespace of the bridges.

usage: sweep.py CABLES ROUTERS LIMIT_MS
  The bridges are br0, br1 and so on, the master's ports m0, m1; router N of cable C has the address 10.1.C.N.
  prints: LAST_ANSWER LAST_ANNOUNCEMENT MISSING
    LAST_ANSWER        the latest first answer to an ARP request, counted from its router's last advert before the
                       cables were pulled, less LIMIT_MS (ms)
    LAST_ANNOUNCEMENT  the same for the first ARP of any kind that tells the new holder
    MISSING            addresses that nobody answered for
"""

import select
import socket
import struct
import subprocess
import sys
import time

PERIOD = 0.03
ETH_ALL = 3
VRRP = 112
HEAR = 2.5
LONGEST = 20.0


class Cable:
    def __init__(self, number, routers):
        self.number = number
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_ALL))
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.wire.bind(("br%d" % number, ETH_ALL))
        self.wire.setblocking(False)
        mac = self.wire.getsockname()[4]
        self.mac = mac
        head = b"\xff" * 6 + mac + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" + mac + bytes(4) + bytes(6)
        self.requests = [head + bytes((10, 1, number, n)) for n in range(1, routers + 1)]
        self.adverts = {}
        self.answers = {}
        self.announcements = {}

    def take(self, pulled):
        while True:
            try:
                frame = self.wire.recv(256)
            except BlockingIOError:
                return
            now = time.monotonic()
            kind = frame[12:14]
            if kind == b"\x08\x00" and frame[23] == VRRP and not pulled and frame[29] == 1:
                self.adverts[frame[14 + (frame[14] & 15) * 4 + 1]] = now
            elif kind == b"\x08\x06" and pulled and frame[6:12] != self.mac and frame[28:31] == bytes((10, 1, self.number)):
                self.announcements.setdefault(frame[31], now)
                if frame[20:22] == b"\x00\x02" and frame[32:38] == self.mac:
                    self.answers.setdefault(frame[31], now)


def main():
    count, routers, limit = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000
    cables = [Cable(number, routers) for number in range(count)]
    poller = select.poll()
    for cable in cables:
        poller.register(cable.wire, select.POLLIN)

    def hear(until, pulled):
        while True:
            for cable in cables:
                cable.take(pulled)
            left = until - time.monotonic()
            if left <= 0:
                return
            poller.poll(left * 1000)

    hear(time.monotonic() + HEAR, False)
    if any(len(cable.adverts) < routers for cable in cables):
        sys.exit("not every router advertises: %s" % [len(cable.adverts) for cable in cables])
    subprocess.run(["ip", "-batch", "-"], input="".join("link set m%d down\n" % n for n in range(count)), text=True, check=True)
    hear(time.monotonic(), False)
    start = time.monotonic()
    hear(start + limit - 1.2, True)
    while time.monotonic() < start + LONGEST:
        begun = time.monotonic()
        for cable in cables:
            for number, request in enumerate(cable.requests, 1):
                if number not in cable.answers:
                    try:
                        cable.wire.send(request)
                    except OSError:
                        pass
            cable.take(True)
        hear(begun + PERIOD, True)
        if all(len(cable.answers) == routers for cable in cables):
            break
    missing = sum(routers - len(cable.answers) for cable in cables)
    late = lambda seen: max(
        (seen(cable)[vrid] - cable.adverts[vrid] - limit for cable in cables for vrid in seen(cable)), default=0)
    print("%.1f %.1f %d" % (
        late(lambda cable: cable.answers) * 1000, late(lambda cable: cable.announcements) * 1000, missing))


main()
