"""Prints what events cost two programs, beside what is promised of ours.

usage: events.py row      one result on standard input: a line for people
       events.py table    all of them: two tables, as Markdown

A result is EVENT|PROGRAM|SETTING|KEY=VALUE ..., the words being those of chaos.d/observer.py.
"""

import statistics
import sys

# Master_Down_Interval of the Backup: priority 100, adverts each second (RFC 9568 6.1).
DOWN_INTERVAL = 3000 + 1000 * (256 - 100) / 256

UNSEEN = {"lost": 0, "changes": 0}
SOON = {"two": 2000}
# Event, setting of ours, what people call it, what is promised of ours: words, and the limits that they mean.
EVENTS = (
    ("nothing", "default", "nothing: the measuring itself", "", UNSEEN),
    ("stop", "default", "orderly stop of the Master", "0 lost", {"lost": 0}),
    ("reload", "default", "reload, twice", "0 lost", UNSEEN),
    ("restart", "default", "restart as the service unit does it", "0 lost, 0 transitions", UNSEEN),
    ("upgrade", "default", "`holdfastctl upgrade`", "0 lost, 0 transitions", UNSEEN),
    ("kill-supervisor", "default", "kill -9 of the parent, started again after 1 s", "0 lost, 0 transitions", UNSEEN),
    ("kill-vrrp", "default", "kill -9 of the VRRP process", "0 lost, 0 transitions", UNSEEN),
    ("kill-checker", "default", "kill -9 of the checker", "0 lost, 0 transitions", UNSEEN),
    ("kill-scripts", "default", "kill -9 of the scripts process", "0 lost, 0 transitions", UNSEEN),
    ("kill-bfd", "default", "kill -9 of the BFD process", "0 lost, 0 transitions", UNSEEN),
    ("kill-all", "vip_lease", "kill -9 of all", "on both for 2 s at most", SOON),
    ("hang-vrrp", "vip_lease", "the VRRP process hangs", "on both for 2 s at most", SOON),
    ("hang-vrrp", "default", "the same (holdfast without)", "", {}),
    ("hang-all", "vip_lease", "all processes hang", "on both for 2 s at most", SOON),
    ("link-cut", "default", "cable pulled", "limit + 2 ms at most", {"past": 2}),
)
# Events that the Backup answers when its down interval is over, and nothing before it tells it.
TIMED = ("kill-all", "hang-vrrp", "hang-all", "link-cut")
MOMENTS = ("spoke", "held", "answered")


class Result:
    def __init__(self, line):
        self.event, self.program, setting, words = line.strip().split("|")
        # keepalived has one setting: its figures stand beside each of ours.
        self.setting = setting if self.program == "ours" else None
        seen = dict(word.split("=", 1) for word in words.split())
        self.figures = {key: int(seen[key]) for key in ("lost", "silence", "changes", "two")}
        for moment in MOMENTS:
            if seen[moment] != "-":
                self.figures[moment] = float(seen[moment]) - DOWN_INTERVAL
        self.figures["past"] = self.figures.get("spoke", float("inf"))
        # At the end, before what was dead or hung goes on.
        self.both = "+" in seen["state"].split("/")[0]

    def line(self):
        figures = self.figures
        return "   %s, %s: %d lost, %d ms without answer, %d transitions on the peer, on both for %d ms%s" % (
            self.event, "keepalived" if self.program == "keepalived" else "holdfast, " + self.setting, figures["lost"],
            figures["silence"], figures["changes"], figures["two"], " and still" if self.both else "")


def number(value):
    return "%.1f" % value if isinstance(value, float) else "%d" % value


def figure(results, key):
    """The median and, where it differs, the worst."""
    values = [result.figures[key] for result in results if key in result.figures]
    if not values:
        return "-"
    middle = number(statistics.median(values) if isinstance(values[0], float) else statistics.median_high(values))
    worst = number(max(values))
    return middle if middle == worst else "%s (%s)" % (middle, worst)


def both(results):
    """How long two nodes held the address; what had not ended says so."""
    endless = sum(result.both for result in results)
    return figure(results, "two") + (", without end" if endless else "")


def verdict(results, limits, promised):
    broken = [key for key, limit in limits.items() if any(result.figures[key] > limit for result in results)]
    if "two" in limits and any(result.both for result in results):
        broken.append("two")
    return "%s: %s" % (promised, "missed" if broken else "kept") if promised else ""


def grid(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


def table(results):
    def of(event, program, setting=None):
        return [result for result in results if (result.event, result.program, result.setting) == (event, program, setting)]

    costs = [("event", "keepalived: lost", "silent", "peer", "both", "holdfast: lost", "silent", "peer", "both", "runs", "promised")]
    delays = [("event", "keepalived: advert", "address", "answer", "holdfast: advert", "address", "answer")]
    for event, setting, name, promised, limits in EVENTS:
        theirs, ours = of(event, "keepalived"), of(event, "ours", setting)
        if not theirs + ours:
            continue
        name += " (holdfast with vip_lease)" if setting == "vip_lease" else ""
        cells = [name]
        for group in (theirs, ours):
            cells += [figure(group, key) for key in ("lost", "silence", "changes")] + [both(group)]
        costs.append((*cells, "%d/%d" % (len(theirs), len(ours)), verdict(ours, limits, promised) if ours else ""))
        if event in TIMED:
            delays.append((name, *(figure(group, key) for group in (theirs, ours) for key in MOMENTS)))
    grid(costs)
    print("\nMedians, in brackets the worst where it differs. lost: probes without an answer within a second, of 1,000 each second; silent:\n"
          "the longest time between two answers; peer: transitions on the Backup, to Master and back; both: how long both nodes held\n"
          "the address, `without end` when they still did as the dead or hung one was started again or went on; times in ms.\n"
          "Both programs have the same configuration (keepalived no checks where the kernel has no IPVS, which would end it), holdfast\n"
          "vip_lease only where a row says so.\n\n"
          "From the last advert of the old Master, as it arrived at the switch, to the new one's first advert, address and answer:\n"
          "ms past the Backup's down interval, %.1f ms.\n" % DOWN_INTERVAL)
    grid(delays)


def main():
    results = [Result(line) for line in sys.stdin]
    if sys.argv[1] == "row":
        print(results[0].line(), flush=True)
    else:
        table(results)


main()
