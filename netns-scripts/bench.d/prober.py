"""Pings an address every millisecond and says how long it was silent.

usage: prober.py ADDRESS MASTER INTERFACE
  mark      forget what was seen
  report    prints: ANSWERS OUTAGE SINCE_ADVERT ADVERTS
              ANSWERS       echo replies since the mark
              OUTAGE        longest time between two replies, ms
              SINCE_ADVERT  from the last VRRP advert of MASTER before the outage's end to that end, ms: what the
                            protocol limits to the master down timer, wherever in its interval the cable was pulled
              ADVERTS       adverts of MASTER since the mark; with none SINCE_ADVERT means nothing
"""

import gc
import os
import select
import socket
import struct
import sys
import time

PERIOD = 0.001
VRRP = 112


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier, sequence):
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", 8, 0, checksum(head), identifier, sequence)


class Seen:
    """Since the mark."""

    def __init__(self, now):
        self.answers = 0
        self.last = now
        self.advert = now
        self.adverts = 0
        self.outage = 0.0
        self.since_advert = 0.0

    def answer(self, now):
        self.answers += 1
        if now - self.last > self.outage:
            self.outage = now - self.last
            self.since_advert = now - self.advert
        self.last = now


def main():
    address, master, interface = sys.argv[1:4]
    identifier = os.getpid() & 0xFFFF
    echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    echo.connect((address, 0))
    echo.setblocking(False)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    wire.bind((interface, 0x0800))
    wire.setblocking(False)
    source = socket.inet_aton(master)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        # Without real-time priority the figures are a little noisier, no more.
        pass
    gc.disable()
    poller = select.epoll()
    for watched in (echo, wire, sys.stdin):
        poller.register(watched, select.EPOLLIN)
    sequence = 0
    following = time.monotonic()
    seen = Seen(following)
    while True:
        for number, _ in poller.poll(max(0, following - time.monotonic())):
            now = time.monotonic()
            if number == echo.fileno():
                try:
                    packet = echo.recv(2048)
                except OSError:
                    # "Host unreachable" from our own kernel: a silence like any other.
                    continue
                offset = (packet[0] & 15) * 4
                kind, _, _, whose = struct.unpack("!BBHH", packet[offset:offset + 6])
                if kind == 0 and whose == identifier:
                    seen.answer(now)
            elif number == wire.fileno():
                packet = wire.recv(2048)
                if len(packet) >= 20 and packet[9] == VRRP and packet[12:16] == source:
                    seen.advert = now
                    seen.adverts += 1
            else:
                order = sys.stdin.readline().strip()
                if order == "report":
                    print("%d %.3f %.3f %d" % (
                        seen.answers, seen.outage * 1000, seen.since_advert * 1000, seen.adverts), flush=True)
                elif order == "mark":
                    seen = Seen(now)
                else:
                    return
        now = time.monotonic()
        if now >= following:
            sequence = (sequence + 1) & 0xFFFF
            try:
                echo.send(echo_request(identifier, sequence))
            except OSError:
                pass
            following = max(following + PERIOD, now)


main()
