"""`python -m local verify`: every link of the audit chains in a data folder, also while a host is serving it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import CountersignError

if TYPE_CHECKING:
    from shared.delivery.handling import Delivery


async def verify_folder(tenants: list[str]) -> bool:
    """Print one line per chain; True when all of them verify."""
    from shared import bootstrap
    from shared.audit.verification import verify
    from shared.contracts.identity import partition_of
    from shared.contracts.kinds import SYSTEM_PARTITION
    from shared.delivery.tenants import enumerate_tenants

    delivery = bootstrap.delivery()
    try:
        partitions = [partition_of(tenant) for tenant in tenants]
        if not partitions:
            partitions, cursor = [SYSTEM_PARTITION], ""
            while page := await enumerate_tenants(delivery, cursor=cursor):
                partitions += [partition_of(document.body["tenant"]) for document in page.documents]
                cursor = page.cursor
                if not cursor:
                    break
        sound = True
        for partition in dict.fromkeys(partitions):  # the system's own partition may be registered as a tenant too
            report = await verify(partition, store=delivery.store, checkpoints=delivery.checkpoints)
            sound = sound and not report.problem
            if not report.records and not report.problem and not await _is_known(delivery, partition):
                sys.stderr.write(f"countersign: nothing is known of a tenant {partition!r}\n")
                sound = False
                continue
            where = f"{report.broken_at}, {report.document}" if report.document else str(report.broken_at)
            verdict = f"BROKEN at {where}: {report.problem}" if report.problem else "verifies"
            print(
                f"{partition}: {verdict}; {report.records} records, {report.erased} erased, "
                f"{report.checkpoints} checkpoints met, head {report.head_hash}"
            )
        return sound
    finally:
        await bootstrap.shutdown()


async def _is_known(delivery: Delivery, partition: str) -> bool:
    """Whether a partition without records is one that we have, rather than a name that was mistyped."""
    from shared.contracts.kinds import SYSTEM_PARTITION

    if partition == SYSTEM_PARTITION:
        return True
    return await delivery.store.read(SYSTEM_PARTITION, f"tenant:{partition}") is not None


def main(arguments: list[str]) -> int:
    """0 when every chain verifies, 1 when one is broken, a tenant is unknown or the folder cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m local verify", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".countersign"), help="data folder (default: %(default)s)")
    parser.add_argument("--tenant", action="append", default=[], help="only this tenant (may be given several times)")
    options = parser.parse_args(arguments)
    if not (options.data / "store.db").exists():
        sys.stderr.write(f"countersign: {options.data} holds no store: nothing was ever served from it\n")
        return 1
    os.environ["COUNTERSIGN_DATA"] = str(options.data)
    try:
        return 0 if asyncio.run(verify_folder(options.tenant)) else 1
    except CountersignError as error:
        sys.stderr.write(f"countersign: {error}\n")
        return 1
