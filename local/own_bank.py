"""The bank of a local host that has none: a sandbox bank with play money, in the host's own process and data folder.

It is there unless BANK_URL names another (`none` for no bank at all). Tenant `household` may pay from its accounts.
"""

from __future__ import annotations

import os
from pathlib import Path

from local.sandbox_bank import DEFAULT_TOKEN, SandboxBank
from local.sandbox_ledger import Account

TENANT = "household"
OWN = (
    Account(id="acc-current", owner_name="Household", currency="EUR", balance_minor=485_000),
    Account(id="acc-savings", owner_name="Household", currency="EUR", balance_minor=1_200_000),
)
PAYEES = (
    Account(id="Anna", owner_name="Anna Kelly", currency="EUR", balance_minor=0),
    Account(id="Landlord", owner_name="Greenfield Lettings Ltd", currency="EUR", balance_minor=0),
)


async def open_bank(data_dir: Path) -> SandboxBank | None:
    """The bank, open, with the app's settings pointing at it; None when the settings name one, or none."""
    if told := os.environ.get("BANK_URL"):
        if told == "none":
            os.environ["BANK_URL"] = ""
        return None
    bank = await SandboxBank(data_dir / "bank", (*OWN, *PAYEES)).__aenter__()
    os.environ["BANK_URL"] = bank.url
    os.environ["BANK_TOKEN"] = DEFAULT_TOKEN
    os.environ["BANK_ACCOUNTS"] = os.environ.get("BANK_ACCOUNTS") or ",".join(f"{TENANT}={one.id}" for one in OWN)
    return bank


async def close_bank(bank: SandboxBank) -> None:
    """Close it, and let go of the settings: a later host in this process opens its own."""
    for name in ("BANK_URL", "BANK_TOKEN"):
        os.environ.pop(name, None)
    await bank.__aexit__(None, None, None)
