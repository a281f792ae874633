"""Pings an address every millisecond until its standard input ends; then prints how many were lost, and the longest silence.

usage: ping.py ADDRESS [INTERFACE]
  prints READY after the first answer, and at the end: SENT LOST OUTAGE_MS
  LOST counts requests that were never answered. OUTAGE_MS is the longest time between two answers.
"""

import gc
import os
import select
import socket
import struct
import sys
import time

PERIOD = 0.001
# After the last request: how long an answer may take.
LAST = 1.5


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def opened(address):
    if ":" in address:
        ping = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        where = socket.getaddrinfo(address, 0, socket.AF_INET6)[0][4]
        return ping, where, 128, 129, 0
    ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return ping, (address, 0), 8, 0, 20


def main():
    ping, where, request, reply, header = opened(sys.argv[1])
    ping.connect(where)
    ping.setblocking(False)
    identifier = os.getpid() & 0xFFFF
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        # Without real-time priority the figures are a little noisier, no more.
        pass
    gc.disable()
    poller = select.epoll()
    poller.register(ping, select.EPOLLIN)
    poller.register(sys.stdin, select.EPOLLIN | select.EPOLLHUP)
    waiting, sent, last, outage, ends = set(), 0, None, 0.0, None
    following = time.monotonic()
    while True:
        for number, _ in poller.poll(max(0, (ends + PERIOD if ends else following) - time.monotonic())):
            if number != ping.fileno():
                poller.unregister(sys.stdin)
                ends = time.monotonic() + LAST
                continue
            while True:
                try:
                    packet = ping.recv(2048)
                except BlockingIOError:
                    break
                except OSError:
                    # "Host unreachable" from our own kernel: a silence like any other.
                    continue
                kind, _, _, whose, high, low = struct.unpack("!BBHHHH", packet[header:header + 10])
                if kind != reply or whose != identifier:
                    continue
                now = time.monotonic()
                if last is None:
                    print("READY", flush=True)
                    # What was asked before anybody was there is not lost.
                    waiting.clear()
                    sent = 0
                else:
                    outage = max(outage, now - last)
                last = now
                waiting.discard(high << 16 | low)
        now = time.monotonic()
        if ends and (now > ends or not waiting):
            break
        if now >= following and not ends:
            sent += 1
            waiting.add(sent)
            head = struct.pack("!BBHHHH", request, 0, 0, identifier, sent >> 16, sent & 0xFFFF)
            if request == 8:
                head = head[:2] + struct.pack("!H", checksum(head)) + head[4:]
            try:
                ping.send(head)
            except OSError:
                pass
            following = max(following + PERIOD, now)
    print("%d %d %.1f" % (sent, len(waiting), outage * 1000), flush=True)


main()
