"""Reads all spans, and prints how many there are and the digest of their columns, so that readers can be compared.

usage: read_lake.py deltalake|chdb FOLDER    with a reader that knows nothing of Plimsoll
       read_lake.py sql URL                  as the server itself answers
"""

import datetime
import hashlib
import json
import os
import sys
import urllib.request

COLUMNS = [
    "tenant", "trace_id", "span_id", "start_unix_nano", "duration_ns", "service_name", "name",
    "gen_ai_request_model", "gen_ai_usage_input_tokens", "attributes", "day", "slice",
]  # fmt: skip


def with_deltalake(folder):
    from deltalake import DeltaTable

    table = DeltaTable(folder).to_pyarrow_table(columns=COLUMNS)
    return [tuple(row[c] for c in COLUMNS) for row in table.to_pylist()]


def with_chdb(folder):
    # It reads files below the working directory only.
    os.chdir(folder)
    import chdb

    columns = ", ".join(COLUMNS)
    rows = chdb.query(f"SELECT {columns} FROM deltaLakeLocal('{folder}')", "JSONCompactEachRow").bytes()
    return [tuple(json.loads(line)) for line in rows.decode().splitlines()]


def with_sql(url):
    body = json.dumps({"sql": f"SELECT {', '.join(COLUMNS)} FROM spans", "limit": 1_000_000}).encode()
    headers = {"content-type": "application/json", "accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/sql", body, headers)) as answer:
        return [tuple(row) for row in json.load(answer)["rows"]]


def text(value):
    """One spelling for what readers represent differently."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        value = value.items()
    if isinstance(value, (list, type({}.items()))):
        pairs = sorted((str(k), "null" if v is None else str(v)) for k, v in value)
        return ",".join(f"{k}={v}" for k, v in pairs)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()[:10]
    return str(value)


def main():
    reader, place = sys.argv[1:]
    rows = {"deltalake": with_deltalake, "chdb": with_chdb, "sql": with_sql}[reader](place)
    lines = sorted("|".join(text(v) for v in row) for row in rows)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    json.dump({"count": len(rows), "digest": digest, "first": lines[:1]}, sys.stdout)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # deltalake's threads may outlive the interpreter's own end, which then aborts with the answer long given: also
    # after reading a table that it wrote itself. An error above ends as errors do.
    os._exit(0)
