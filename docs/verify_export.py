"""Verify an exported audit chain with nothing but Python: `python verify_export.py export.jsonl [last-known-hash]`."""

import json
import sys
from hashlib import sha256
from pathlib import Path


def digest(value, before=b""):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # RFC 8785 for these values
    return sha256(before + text.encode()).hexdigest()


previous, erased, seen = "0" * 64, 0, set()
for number, line in enumerate(Path(sys.argv[1]).read_text("utf-8").splitlines(), start=1):
    r = json.loads(line)
    hashed = {k: r[k] for k in ("sequence", "previous_hash", "at", "what", "who", "ids", "payload_hash")}
    good = r["sequence"] == number and r["previous_hash"] == previous and digest(hashed) == r["hash"]
    if r.get("erased_at"):
        erased += 1
    else:
        good = good and digest(r["payload"], r["salt"].encode()) == r["payload_hash"]
    if not good:
        sys.exit(f"broken at line {number}")
    previous = r["hash"]
    seen.add(previous)
if len(sys.argv) > 2 and sys.argv[2] not in seen:
    sys.exit("the chain is whole, but the hash you know is not in it")
print(f"{len(seen)} records verify, {erased} of them erased; head {previous}")
