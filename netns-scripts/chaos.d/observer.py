"""Sees what a fault does to a pair: asks the virtual address each millisecond, and watches who holds it and who speaks.

usage: observer.py PREFIX ADDRESS PORT       (network namespaces PREFIX-n1, -n2, -client and -switch)

Orders on standard input, one answer line each:
  mark      forget what was seen; answers `marked`
  state     HOLDERS SPEAKER ANSWERER: nodes that hold the address (n1, n1+n2, none), who advertised last (not longer
            ago than SPOKEN; else `none`), whose answer came last (`none` for longer than QUIET)
  report    what happened since the mark or the last report, as KEY=VALUE words, a PATIENCE later:
              sent      probes, one each millisecond
              lost      of them, not answered within PATIENCE
              silence   the longest time between two answers, ms
              none      time in which no node held the address, ms
              two       time in which both held it, ms
              moves     how often a node came to hold it
              by        answers by node
              changes   how often n2, the Backup, came to hold the address or lost it
              spoke, held, answered
                        from the last advert of n1 until n2 first advertised, held the address and answered, ms; `-` when it
                        did not. Adverts have the kernel's time of their arrival at the switch
              state     HOLDERS/SPEAKER
"""

import array
import ctypes
import gc
import os
import select
import socket
import struct
import sys
import time

PERIOD = 0.001
# An answer that took longer than this is as good as none.
PATIENCE = 1.0
# A Master speaks each second.
SPOKEN = 2.2
QUIET = 0.2
# Probes that are caught up on when this process was late; beyond that they were never due.
CATCH_UP = 20
NODES = ("n1", "n2")
VRRP = 112
ETH_P_IP = 0x0800
CLONE_NEWNET = 0x40000000
RTMGRP_IPV4_IFADDR = 0x10
RTM_NEWADDR, RTM_DELADDR = 20, 21
IFA_LOCAL = 2
# Not in every Python's socket module.
SO_TIMESTAMPNS = 35


class Inside:
    """With it, sockets are made in a network namespace; they stay there."""

    LIBC = ctypes.CDLL(None, use_errno=True)

    def __init__(self, name):
        self.name = name

    def enter(self, path):
        handle = os.open(path, os.O_RDONLY)
        failed = self.LIBC.setns(handle, CLONE_NEWNET)
        os.close(handle)
        if failed:
            raise OSError(ctypes.get_errno(), "setns %s" % path)

    def __enter__(self):
        self.enter("/run/netns/" + self.name)

    def __exit__(self, *_):
        self.enter("/proc/%d/ns/net" % os.getppid())


def address_watch(space):
    with Inside(space):
        watch = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        watch.bind((0, RTMGRP_IPV4_IFADDR))
    watch.setblocking(False)
    return watch


def changes(data, wanted):
    """True or False for each message that adds or removes the address."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        at = 24
        while kind in (RTM_NEWADDR, RTM_DELADDR) and at + 4 <= length:
            size, attribute = struct.unpack_from("=HH", data, at)
            if attribute == IFA_LOCAL and data[at + 4:at + 8] == wanted:
                yield kind == RTM_NEWADDR
            at += max(4, size + 3 & ~3)
        data = data[max(16, length + 3 & ~3):]


def arrival(notes, now):
    """When the kernel had the packet that these ancillary data came with, on the monotonic clock."""
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack_from("=qq", data)
            return seconds + nanoseconds / 1e9 - (time.time() - time.monotonic())
    return now


class Held:
    """Who holds the address, and for how long nobody and both did."""

    def __init__(self, now):
        self.by = dict.fromkeys(NODES, False)
        self.mark(now)

    def mark(self, now):
        self.since, self.none, self.two, self.moves, self.changes = now, 0.0, 0.0, 0, 0

    def pass_time(self, now):
        count = sum(self.by.values())
        if count == 0:
            self.none += now - self.since
        elif count == 2:
            self.two += now - self.since
        self.since = now

    def change(self, node, held, now):
        if self.by[node] != held:
            self.pass_time(now)
            self.by[node] = held
            self.moves += held
            self.changes += node == "n2"

    def names(self):
        return "+".join(node for node in NODES if self.by[node]) or "none"


class Takeover:
    """How long after the last advert of n1 its Backup did what a Master does, each for the first time since the mark."""

    WHAT = ("spoke", "held", "answered")

    def __init__(self):
        self.last = None
        self.mark()

    def mark(self):
        self.after = {}

    def see(self, what, when):
        if what not in self.after and self.last is not None:
            self.after[what] = when - self.last

    def words(self):
        return " ".join("%s=%.1f" % (each, self.after[each] * 1000) if each in self.after else each + "=-"
                        for each in self.WHAT)


class Window:
    """The probes between two orders, and what came of them."""

    def __init__(self, first, now):
        self.first, self.times, self.answered = first, array.array("d"), bytearray()
        self.silence, self.heard = 0.0, now
        self.by = dict.fromkeys(NODES, 0)

    def ask(self, now):
        self.times.append(now)
        self.answered.append(0)

    def answer(self, number, who, now):
        """False when it is no probe of this window, or came too late, or twice."""
        at = number - self.first
        if not 0 <= at < len(self.times) or now - self.times[at] > PATIENCE or self.answered[at]:
            return False
        self.answered[at] = 1
        self.by[who] += 1
        return True

    def hear(self, now):
        self.silence, self.heard = max(self.silence, now - self.heard), now

    def words(self):
        by = ",".join("%s:%d" % each for each in self.by.items())
        return "sent=%d lost=%d silence=%.0f by=%s" % (
            len(self.times), len(self.times) - sum(self.answered), self.silence * 1000, by)


class Probes:
    """The client: asks each millisecond."""

    def __init__(self, client, now):
        self.client, self.next, self.following = client, 0, now
        self.who, self.when = "none", 0.0
        self.window, self.closing = Window(0, now), []

    def mark(self, now):
        """Begins a window; answers to the one before still count for it."""
        before = self.window
        before.hear(now)
        self.window = Window(self.next, now)
        self.closing = [before]
        return before

    def ask(self, now):
        if now - self.following > CATCH_UP * PERIOD:
            self.following = now
        while self.following <= now:
            self.following += PERIOD
            self.window.ask(now)
            try:
                self.client.send(struct.pack("!Q", self.next))
            except OSError:
                # No neighbour, no room: a probe that got nowhere is a lost one.
                pass
            self.next += 1

    def hear(self, now):
        while True:
            try:
                answer = self.client.recv(64)
            except BlockingIOError:
                return
            except OSError:
                # Our own kernel says "unreachable": a silence like any other.
                continue
            who, _, number = answer.decode("latin-1").partition(" ")
            number = struct.unpack("!Q", number.encode("latin-1"))[0]
            if any(window.answer(number, who, now) for window in (self.window, *self.closing)):
                self.window.hear(now)
                self.who, self.when = who, now


class Observer:
    def __init__(self, prefix, address, port):
        now = time.monotonic()
        self.wanted = socket.inet_aton(address)
        self.watches = {}
        for node in NODES:
            watch = address_watch("%s-%s" % (prefix, node))
            self.watches[watch.fileno()] = (node, watch)
        with Inside(prefix + "-client"):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            client.connect((address, port))
        with Inside(prefix + "-switch"):
            self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
            self.wire.bind(("br0", ETH_P_IP))
            self.wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.wire.setblocking(False)
        self.takeover = Takeover()
        self.held, self.probes = Held(now), Probes(client, now)
        self.speaker, self.spoke = "none", 0.0
        self.reports = []

    def hear_wire(self, now):
        while True:
            try:
                packet, notes, _, _ = self.wire.recvmsg(256, 64)
            except BlockingIOError:
                return
            if len(packet) < 28 or packet[9] != VRRP:
                continue
            priority = packet[(packet[0] & 15) * 4 + 2]
            if priority:
                self.speaker, self.spoke = "n%d" % packet[15], now
                if self.speaker == "n1":
                    self.takeover.last = arrival(notes, now)
                else:
                    self.takeover.see("spoke", arrival(notes, now))

    def hear_kernel(self, node, watch, now):
        while True:
            try:
                data = watch.recv(65536)
            except BlockingIOError:
                return
            for held in changes(data, self.wanted):
                self.held.change(node, held, now)
                if held and node == "n2":
                    self.takeover.see("held", now)

    def state(self, now):
        speaker = self.speaker if now - self.spoke < SPOKEN else "none"
        answerer = self.probes.who if now - self.probes.when < QUIET else "none"
        return self.held.names(), speaker, answerer

    def obey(self, order, now):
        if order == "mark":
            self.held.mark(now)
            self.probes.mark(now)
            self.takeover.mark()
            print("marked", flush=True)
        elif order == "state":
            print(*self.state(now), flush=True)
        elif order == "report":
            self.held.pass_time(now)
            words = "none=%.0f two=%.0f moves=%d" % (self.held.none * 1000, self.held.two * 1000, self.held.moves)
            words += " changes=%d %s state=%s/%s" % (self.held.changes, self.takeover.words(), *self.state(now)[:2])
            self.held.mark(now)
            self.takeover.mark()
            self.reports.append((now + PATIENCE, self.probes.mark(now), words))

    def run(self):
        poller = select.epoll()
        for handle in (*self.watches, self.wire, self.probes.client, sys.stdin):
            poller.register(handle, select.EPOLLIN)
        while True:
            wait = max(0, self.probes.following - time.monotonic())
            for handle, _ in poller.poll(wait):
                now = time.monotonic()
                if handle in self.watches:
                    self.hear_kernel(*self.watches[handle], now)
                elif handle == self.wire.fileno():
                    self.hear_wire(now)
                elif handle == self.probes.client.fileno():
                    self.probes.hear(now)
                    if self.probes.who == "n2":
                        self.takeover.see("answered", self.probes.when)
                else:
                    order = sys.stdin.readline()
                    if not order:
                        return
                    self.obey(order.strip(), now)
            now = time.monotonic()
            self.probes.ask(now)
            if self.reports and self.reports[0][0] <= now:
                _, window, words = self.reports.pop(0)
                print(window.words(), words, flush=True)


def main():
    observer = Observer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        # Without real-time priority the figures are a little noisier, no more.
        pass
    gc.disable()
    print("READY", flush=True)
    observer.run()


main()
