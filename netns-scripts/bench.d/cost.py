"""What a pair of daemons costs. Runs in the backup's namespace.

usage: cost.py load SECONDS EXPECTED_PER_SECOND MASTER_PID BACKUP_PID INTERFACE...
           waits until the backup hears EXPECTED_PER_SECOND adverts and sends none, then prints
           `MASTER_US_PER_ADVERT BACKUP_US_PER_ADVERT ADVERTS_PER_SECOND`
       cost.py memory PID
           prints the proportional memory (Pss) of the process tree in KiB
       cost.py settled EXPECTED_PER_SECOND INTERFACE...
           waits as `load` does
       cost.py sent SECONDS
           prints how many IPv4 packets this namespace sent in that time
"""

import os
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")
# Starting a thousand routers takes seconds, their second burst of gratuitous ARP comes five seconds later.
STABLE_LIMIT = 90


def tree(pid):
    found = [pid]
    for process in found:
        try:
            for thread in os.listdir("/proc/%d/task" % process):
                with open("/proc/%d/task/%s/children" % (process, thread), encoding="ascii") as children:
                    found.extend(int(child) for child in children.read().split())
        except OSError:
            pass
    return found


def cpu_seconds(pids):
    """User and system time of these processes."""
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pss(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as rollup:
            total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return total


def packets(interfaces):
    """(received, sent) over all interfaces."""
    received = sent = 0
    with open("/proc/net/dev", encoding="ascii") as table:
        for line in table:
            name, _, rest = line.partition(":")
            if name.strip() in interfaces:
                fields = rest.split()
                received += int(fields[1])
                sent += int(fields[9])
    return received, sent


def wait_until_stable(expected, interfaces):
    start = time.monotonic()
    quiet = 0
    while quiet < 3:
        before = packets(interfaces)
        time.sleep(2)
        received, sent = (now - then for now, then in zip(packets(interfaces), before))
        quiet = quiet + 1 if abs(received / 2 - expected) < expected * 0.05 and sent < expected * 0.005 else 0
        if time.monotonic() - start > STABLE_LIMIT:
            sys.exit("not stable: %d adverts/s instead of %d, %d/s from the backup" % (received / 2, expected, sent / 2))


def load(seconds, expected, master, backup, interfaces):
    wait_until_stable(expected, interfaces)
    trees = tree(master), tree(backup)
    before, (received, _) = [cpu_seconds(pids) for pids in trees], packets(interfaces)
    time.sleep(seconds)
    after, (received_after, _) = [cpu_seconds(pids) for pids in trees], packets(interfaces)
    adverts = received_after - received
    used = [(new - old) * 1e6 / adverts for new, old in zip(after, before)]
    print("%.3f %.3f %d" % (used[0], used[1], adverts / seconds))


def ipv4_sent():
    with open("/proc/net/snmp", encoding="ascii") as table:
        names, values = [line.split() for line in table if line.startswith("Ip:")]
    return int(values[names.index("OutRequests")])


def sent(seconds):
    before = ipv4_sent()
    time.sleep(seconds)
    print(ipv4_sent() - before)


if sys.argv[1] == "load":
    load(float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6:])
elif sys.argv[1] == "settled":
    wait_until_stable(float(sys.argv[2]), sys.argv[3:])
elif sys.argv[1] == "sent":
    sent(float(sys.argv[2]))
else:
    print(pss(tree(int(sys.argv[2]))))
