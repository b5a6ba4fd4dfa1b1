"""What is in the README works when pasted."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from shared.settings import settings_from
from tests.journeys.hosts import ROOT, LocalHost

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block_after(marker: str) -> str:
    found = re.search(re.escape(marker) + r".*?```bash\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no commands after {marker!r}"
    return found.group(1)


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("readme")
    with LocalHost(folder / "data") as host:
        script = block_after("<!-- checked") + block_after("<!-- pasted")
        script = script.replace("http://127.0.0.1:7071", f"http://{host.address}")
        script = script.replace("/tmp/countersign-audit.jsonl", str(folder / "audit.jsonl"))  # noqa: S108
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail"],
            input=script,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_pasted_command_gets_a_problem_for_an_answer(transcript: str):
    assert "urn:countersign:problem" not in transcript


@pytest.mark.parametrize(
    "told",
    [
        '"accepted":120',
        '"accepted":1',
        '"review_state":"Reviewed"',
        '"ok":true',
        "records verify",
        '"ready":true',
        "You spent 312.07 EUR on groceries in February 2026",
        "event: token",
        '"title":"Transfer 250.00 EUR to Anna"',
        '"state":"done"',
        '"scope_kind":"principal"',
    ],
)
def test_the_pasted_commands_show_what_they_promise(transcript: str, told: str):
    assert told in transcript


def test_every_make_target_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_every_setting_the_readme_names_is_read_and_the_other_way_round():
    read = settings_read()
    section = README.partition("## Settings")[2].partition("## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`([A-Z][A-Z_]+(?:__[A-Za-z]+)?)`", table)) == read


def settings_read() -> set[str]:
    """The names that settings.py reads, without the platform's own."""
    settings = (ROOT / "shared" / "settings.py").read_text(encoding="utf-8")
    named = set(re.findall(r'environment(?:\.get\(|, )"([A-Z_]+(?:__[A-Za-z]+)?)"', settings))
    named |= set(re.findall(r'"(PYTHON_[A-Z_]+)"', settings))
    return {name for name in named if not name.startswith("WEBSITE_")}


def test_the_export_is_verified_by_twenty_lines_of_plain_python():
    script = (Path(ROOT) / "docs" / "verify_export.py").read_text(encoding="utf-8")
    code = [line for line in script.splitlines() if line.strip() and not line.startswith(("import", "from", '"""'))]
    assert len(code) <= 22


def test_the_sample_settings_are_the_settings_there_are():
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    read = settings_read()
    assert set(sample) == (read - {"COUNTERSIGN_DATA"}) | {"FUNCTIONS_WORKER_RUNTIME"}
    assert settings_from(sample).auth_mode == "dev"
