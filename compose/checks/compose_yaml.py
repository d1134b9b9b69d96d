"""Checks what `docker compose config` would not: compose.yaml is pinned, healthy, closed and fully documented.

    compose_yaml.py FOLDER
"""

import pathlib
import re
import sys

import yaml

ENGINES = {"mongo", "kafka", "postgres", "mssql"}
SERVICES = {
    "command-api": {"MONGODB_URI", "MSSQL_URL", "KAFKA_BROKERS"},
    "relay": {"MONGODB_URI", "KAFKA_BROKERS"},
    "projector": {"MONGODB_URI", "KAFKA_BROKERS", "POSTGRES_URL"},
    "query-api": {"POSTGRES_URL"},
    "activity": {"KAFKA_BROKERS", "POSTGRES_URL"},
    "replay": {"MONGODB_URI", "KAFKA_BROKERS", "POSTGRES_URL"},
}


def problems(folder):
    text = (folder / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    dockerfile = (folder / "Dockerfile").read_text()

    missing = (ENGINES | set(SERVICES)) ^ set(services)
    if missing:
        yield f"services that are missing or unexpected: {sorted(missing)}"
        return
    for name, service in services.items():
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            yield f"{name}: image is not pinned"
        if "test" not in service["healthcheck"] and "profiles" not in service:
            yield f"{name}: no health check"
        for port in service.get("ports", []):
            if not re.fullmatch(r"127\.0\.0\.1:\$\{\w+_PORT:-\d+\}:\d+", port):
                yield f"{name}: port {port} is not on loopback or not from the environment"
    for name, keys in SERVICES.items():
        unset = keys - set(services[name]["environment"])
        if unset:
            yield f"{name}: {sorted(unset)} are not set"
        if not re.search(rf"-p {name}\b", dockerfile):
            yield f"{name}: the Dockerfile does not build it"
    if services["command-api"]["environment"]["SOCIAL_AUTH"] != "jwt":
        yield "command-api: does not authenticate"
    if not re.search(r"^USER (?!0|root)", dockerfile.rpartition("FROM ")[2], re.MULTILINE):
        yield "the image runs as root"

    # `$$` is a dollar for the container's shell.
    read = set(re.findall(r"\$\{(\w+)", text.replace("$$", "")))
    documented = set(re.findall(r"^(\w+)=", (folder / ".env.example").read_text(), re.MULTILINE))
    for key in sorted(read ^ documented):
        yield f"{key}: in only one of compose.yaml and .env.example"


found = list(problems(pathlib.Path(sys.argv[1])))
for problem in found:
    print(f"compose.yaml: {problem}", file=sys.stderr)
sys.exit(bool(found))
