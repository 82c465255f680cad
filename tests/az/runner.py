"""Commands of the Azure CLI against an instance: as a user types them, with a profile of their own."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
AZ = ROOT / ".venv-az" / "bin" / "az"
_SECONDS = 180


class AzFailed(Exception):
    """The command ended with an exit code other than 0. str() is what it wrote to standard error."""


@dataclass(frozen=True)
class Az:
    """profile: the folder where it keeps its clouds, accounts and tokens. environment: of the instance (dev.env)."""

    profile: Path
    environment: Mapping[str, str]

    def variables(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        names = ("REQUESTS_CA_BUNDLE", "AZURE_CORE_INSTANCE_DISCOVERY")
        return {
            **kept,
            **{name: self.environment[name] for name in names},
            "HOME": str(self.profile),
            "AZURE_CONFIG_DIR": str(self.profile / "azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_NO_COLOR": "true",
            "AZURE_CORE_SURVEY_MESSAGE": "false",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "false",
            "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
            "PYTHONPATH": str(Path(__file__).parent / "resolver"),
            "NO_PROXY": "*",
            **more,
        }

    def __call__(self, *words: str, **variables: str) -> Any:
        """What the command prints, read as JSON; None when it prints nothing. Raises AzFailed."""
        found = subprocess.run(
            [str(AZ), *words, "--output", "json"],
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        if found.returncode != 0:
            raise AzFailed(found.stderr.decode(errors="replace"))
        text = found.stdout.decode()
        return json.loads(text) if text.strip() else None

    def while_running(self, *words: str, told: Callable[[str], None], until: str) -> Any:
        """As __call__, for a command that asks for something on the way: told(line) is called with the line of standard
        error that has `until` in it."""
        with subprocess.Popen(
            [str(AZ), *words, "--output", "json"],
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            assert process.stdout is not None
            seen = ""
            for line in process.stderr:
                seen += line
                if until in line:
                    told(line)
                    break
            output, errors = process.communicate(timeout=_SECONDS)
            if process.returncode != 0:
                raise AzFailed(seen + errors)
            return json.loads(output) if output.strip() else None
