"""Read a stream from where the last reader stopped; needs ``pip install redis``."""

import json
import sys

import redis

STREAM = "tapeline:okx:spot:BTC-USDT:trade"


def read(url: str, last: str = "0-0") -> str:
    """Print what came after the entry *last*; returns where to go on."""
    client = redis.Redis.from_url(url, decode_responses=True)
    while entries := client.xrange(STREAM, f"({last}", "+", count=1_000):
        for last, fields in entries:
            trade = json.loads(fields["data"])
            print(last, trade["side"], trade["price"], trade["size"])
    client.close()
    return last


if __name__ == "__main__":
    print(f"go on behind {read(*sys.argv[1:])}")
