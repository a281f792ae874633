"""Judges announcements (gratuitous ARP, unsolicited NA) in what `packets.py sniff` wrote, by the times there.

  bursts.py are FILE ADDRESS PATTERN     they came as PATTERN says: `5@0 5@5` is five at once and five after five seconds;
                                         a `+` at its end: and maybe more
  bursts.py weaker FILE ADDRESS VRID COUNT DELAY
                                         after the only advert of priority 50: COUNT at once, COUNT after DELAY seconds (or
                                         none, if that is 0), COUNT each time in the first five, and never again
  bursts.py apart FILE KIND SECONDS      no two of KIND (garp, na) are closer than SECONDS
"""

import sys

# Announcements closer than this are one burst; a burst may come so much too early or too late on a busy machine.
ONE_BURST = 0.4
EARLY, LATE = 0.3, 1.4


def lines(file):
    with open(file, encoding="ascii") as sniffed:
        for line in sniffed:
            time, _, what = line.partition(" ")
            if what.endswith("\n"):
                yield float(time), what.split()


def bursts(file, address, begin=0.0):
    """[count, time of the first] of each burst."""
    found, last = [], 0.0
    for time, words in lines(file):
        if words[0] in ("garp", "na") and words[1] == "ip=" + address and time >= begin:
            if found and time - last < ONE_BURST:
                found[-1][0] += 1
            else:
                found.append([1, time])
            last = time
    return found


def fits(seen, wanted):
    return wanted - EARLY <= seen <= wanted + LATE


def are(file, address, pattern):
    found = bursts(file, address)
    more = pattern.endswith("+")
    wanted = [tuple(int(part) for part in word.split("@")) for word in pattern.rstrip("+ ").split()]
    if len(found) < len(wanted) or len(found) > len(wanted) and not more:
        return False
    return all(count == seen and fits(time - found[0][1], after)
               for (count, after), (seen, time) in zip(wanted, found))


def weaker(file, address, vrid, count, delay):
    heard = next((time for time, words in lines(file)
                  if words[0] == "advert" and "prio=50" in words and "vrid=" + vrid in words), None)
    if heard is None:
        return False
    found = bursts(file, address, heard)
    if int(count) == 0:
        return not found
    # Two bursts that meet are one.
    if not found or any(seen % int(count) for seen, _ in found) or not fits(found[0][1] - heard, 0):
        return False
    again = [time for _, time in found if time - heard > 5]
    return not again if delay == "0" else len(again) == 1 and fits(again[0] - heard, int(delay))


def apart(file, kind, seconds):
    times = [time for time, words in lines(file) if words[0] == kind]
    # The kernel's timers and the sniffer are a little off.
    return len(times) > 3 and all(b - a > float(seconds) * 0.8 for a, b in zip(times, times[1:]))


def main():
    verb, arguments = sys.argv[1], sys.argv[2:]
    if not {"are": are, "weaker": weaker, "apart": apart}[verb](*arguments):
        kinds = ("garp", "na", "advert")
        told = [line for line in lines(arguments[0]) if line[1][0] in kinds and
                (verb == "apart" or "ip=" + arguments[1] in line[1] or "prio=50" in line[1])]
        sys.exit("seen: " + "; ".join("%.2f %s" % (time, " ".join(words[:2])) for time, words in told))


main()
