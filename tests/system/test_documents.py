"""What the documents say of the programs is what the programs say."""

import re
import subprocess

from tarn import ROOT


def test_the_readme_lists_every_setting_as_help_prints_it():
    done = subprocess.run([ROOT / "ops" / "dev" / "settings.py", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_link_of_the_documents_leads_somewhere():
    documents = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = []
    for name in documents.stdout.split():
        text = (ROOT / name).read_text()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            if not (ROOT / name).parent.joinpath(target).exists():
                missing.append(f"{name}: {target}")
    assert not missing, missing


def test_every_decision_is_listed():
    folder = ROOT / "ops" / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    unlisted = [page.name for page in folder.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index]
    assert not unlisted, unlisted


def test_every_command_of_the_runbook_exists_with_its_options():
    """Those that are typed (`$ tarn-projector ...`), and those that the text names."""
    text = (ROOT / "ops" / "docs" / "runbook.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^\$ tarn-projector ([a-z-]+)(.*)$", text, re.M)
    commands += re.findall(r"`(?:tarn-projector )?(rebuild|promote|compare|drop|rollback|parked|copy|restore|run)( [^`]*)?`", text)
    assert len(commands) > 20
    helps = {}
    for command, arguments in commands:
        if command not in helps:
            done = subprocess.run([ROOT / "build" / "tarn-projector", command, "--help"], capture_output=True, text=True)
            assert done.returncode == 0, (command, done.stderr)
            helps[command] = set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.M))
        unknown = set(re.findall(r"(?<=\s)--[a-z-]+", arguments)) - helps[command]
        assert not unknown, (command, arguments, unknown)
