#!/usr/bin/env python3
"""guest_cpu.py COMMAND...: runs COMMAND, a guest with bench.d/checks in it, and weighs the guest from outside.

The processor time of all its processes on the host between `begin NAME` and `end`, less what the guest with nginx and
no daemon takes (`begin idle`), over the checks of the `result` line: CPU per check with the server's and the kernel's
share. Both programs carry the same server's share.
"""

import os
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def stats():
    """(pid, parent, seconds of processor time with those of children that were waited for) of all processes."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        yield int(name), int(fields[1]), sum(map(int, fields[11:15])) / TICK


def weigh(root):
    """Seconds of processor time of `root` and all below it."""
    processes = {pid: (parent, seconds) for pid, parent, seconds in stats()}
    total = 0.0
    for pid, (_, seconds) in processes.items():
        above = pid
        while above in processes and above != root:
            above = processes[above][0]
        total += seconds if above == root else 0
    return total


def main():
    guest = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
    idle, began, spent, name = 0.0, None, 0.0, ""
    for line in guest.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "begin":
            name, began = rest, (time.monotonic(), weigh(guest.pid))
        elif word == "end":
            passed = time.monotonic() - began[0]
            spent = weigh(guest.pid) - began[1] - idle * passed
            if name == "idle":
                idle = spent / passed
                print(f"the guest alone: {idle * 100:.1f} % of a processor", flush=True)
        elif word == "result":
            checks, seconds, whole, octets = map(float, rest.split())
            kind, count, program = name.split()
            print(
                f"{kind:<4} {count:>6} checks  {program:<10} {spent * 1e6 / max(checks, 1):7.0f} us CPU per check"
                f"  {checks / seconds:7.1f} checks/s  {whole:7.0f} KiB  {octets:6.0f} octets per check",
                flush=True,
            )
        else:
            print(line, end="", flush=True)
    sys.exit(guest.wait())


if __name__ == "__main__":
    main()
