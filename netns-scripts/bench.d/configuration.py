"""Long configurations, and what `-t` on one costs.

usage: configuration.py write SERVICES SERVERS
           prints SERVICES virtual servers of SERVERS real servers, each with HTTP_GET
       configuration.py cost FILE PROGRAM WORD...
           runs the program once and prints `SECONDS PEAK_KIB STATUS`: wall clock, largest resident set, exit status
"""

import os
import sys
import time

SERVICE = """virtual_server 10.%d.%d.%d 80 {
    delay_loop 6
    lb_algo wrr
    lb_kind DR
    protocol TCP

"""
SERVER = """    real_server 192.168.%d.%d 80 {
        weight 1
        HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 3
            retry 3
            delay_before_retry 3
        }
    }
"""


def write(services, servers):
    for service in range(services):
        high, low = divmod(service, 250)
        sys.stdout.write(SERVICE % (high // 250, high % 250, low + 1))
        for server in range(servers):
            sys.stdout.write(SERVER % (service % 250, server + 1))
        sys.stdout.write("}\n")


def cost(path, command):
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        with open(os.devnull, "r+b", buffering=0) as null:
            for number in range(3):
                os.dup2(null.fileno(), number)
        os.execv(command[0], command + ["-t", "-f", path])
    _, status, usage = os.wait4(child, 0)
    print("%.4f %d %d" % (time.monotonic() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status)))


if sys.argv[1] == "write":
    write(int(sys.argv[2]), int(sys.argv[3]))
else:
    cost(sys.argv[2], sys.argv[3:])
