"""Waits until a MongoDB server has answered nobody for two minutes, and then ends with 3.

    watch.py mongodb://127.0.0.1:27017/?directConnection=true
"""

import sys
import time

from pymongo import MongoClient
from pymongo.errors import PyMongoError


def answers(uri: str) -> bool:
    """Whether a new connection gets an answer within half a minute."""
    limit = 30_000
    try:
        with MongoClient(uri, connectTimeoutMS=limit, socketTimeoutMS=limit, serverSelectionTimeoutMS=limit) as client:
            client.admin.command("listDatabases", nameOnly=True)
        return True
    except PyMongoError:
        return False


def main() -> int:
    heard = time.monotonic()
    while True:
        if answers(sys.argv[1]):
            heard = time.monotonic()
        elif time.monotonic() - heard > 120:
            return 3
        time.sleep(5)


if __name__ == "__main__":
    sys.exit(main())
