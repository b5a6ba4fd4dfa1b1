"""That what `python -m infra.generate` writes is what is committed."""

from __future__ import annotations

from pathlib import Path

from infra import generate


def problems(root: Path) -> list[str]:
    """Files that are missing, or differ from what would be written."""
    found = []
    for name, document in generate.files().items():
        path, wanted = root / name, generate.text_of(document).splitlines()
        kept = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if kept != wanted:
            pairs = enumerate(zip(kept, wanted, strict=False), 1)
            line = next((number for number, (old, new) in pairs if old != new), min(len(kept), len(wanted)) + 1)
            found.append(f"{name}:{line}: is not what the code says; `make infra` writes it anew")
    return found
