"""Makes a mongod that was started with --replSet a replica set of one, and waits until it is the primary.

    initiate.py PORT

Speaks the wire protocol (OP_MSG) by itself, so that neither a shell nor a driver need be installed.
"""

import socket
import struct
import sys
import time


def encode(value):
    body = b""
    for key, item in value.items():
        name = key.encode() + b"\0"
        if isinstance(item, str):
            text = item.encode() + b"\0"
            body += b"\x02" + name + struct.pack("<i", len(text)) + text
        elif isinstance(item, int):
            body += b"\x10" + name + struct.pack("<i", item)
        elif isinstance(item, dict):
            body += b"\x03" + name + encode(item)
        else:
            body += b"\x04" + name + encode({str(i): part for i, part in enumerate(item)})
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def members(document):
    """The members of a document that are of a fixed size, as far as one of another size does not end it."""
    sizes = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
    found, at = {}, 4
    while document[at]:
        kind, end = document[at], document.index(0, at + 1)
        name, at = document[at + 1 : end].decode(), end + 1
        if kind == 0x02:
            size = 4 + struct.unpack_from("<i", document, at)[0]
        elif kind in (0x03, 0x04):
            size = struct.unpack_from("<i", document, at)[0]
        elif kind == 0x05:
            size = 5 + struct.unpack_from("<i", document, at)[0]
        else:
            size = sizes[kind]
        found[name] = (kind, document[at : at + size])
        at += size
    return found


def command(port, document):
    body = struct.pack("<i", 0) + b"\0" + encode({**document, "$db": "admin"})
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        reply = b""
        while len(reply) < 4 or len(reply) < struct.unpack_from("<i", reply)[0]:
            part = connection.recv(65536)
            if not part:
                raise ConnectionError("the server hung up")
            reply += part
    # Header, flags, kind of the one section.
    return members(reply[16 + 4 + 1 :])


def main():
    port = int(sys.argv[1])
    answer = command(
        port,
        {"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}},
    )
    ok = struct.unpack("<d", answer["ok"][1])[0]
    # 23: it is one already.
    if not ok and struct.unpack("<i", answer["code"][1])[0] != 23:
        sys.exit(f"replSetInitiate: {answer['errmsg'][1][4:-1].decode()}")
    deadline = time.monotonic() + 60
    while command(port, {"hello": 1}).get("isWritablePrimary", (8, b"\0"))[1] != b"\1":
        if time.monotonic() > deadline:
            sys.exit("the replica set has no primary after 60 s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
