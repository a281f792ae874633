"""Answers each datagram with this node's name and what the datagram said: a client learns who serves an address.

usage: answerer.py NAME ADDRESS PORT

The socket is bound to the address whether the node has it or not (IP_FREEBIND): answers come from it, and only while
the kernel holds it. Stopped with its host, it answers as late as a stopped host would.
"""

import os
import socket
import sys

IP_FREEBIND = 15


def main():
    name, address, port = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        service.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        service.bind((address, port))
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        except OSError:
            # Without real-time priority the figures are a little noisier, no more.
            pass
        print("READY", flush=True)
        while True:
            try:
                question, asker = service.recvfrom(64)
                service.sendto(name + b" " + question, asker)
            except OSError:
                # The address went between question and answer, or the cable did: that is what is measured.
                continue


main()
