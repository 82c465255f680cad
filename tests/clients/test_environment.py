"""What an instance says to whoever wants to use it: the env files and the line that is printed at the start."""

import os
import stat
import subprocess

from tests.instance import DevInstance, read_environment


def test_the_env_file_names_everything_that_clients_need(dev_instance: DevInstance) -> None:
    port, found = dev_instance.port, dev_instance.environment
    assert found["AZURE_KEYVAULT_URL"] == f"https://dev.vault.localhost:{port}"
    assert found["AZURE_MANAGEDHSM_URL"] == f"https://devhsm.managedhsm.localhost:{port}"
    assert found["AZURE_AUTHORITY_HOST"] == f"https://login.localhost:{port}"
    assert found["ARM_ENDPOINT"] == f"https://management.localhost:{port}"
    assert found["AZURE_POD_IDENTITY_AUTHORITY_HOST"] == f"http://127.0.0.1:{port + 1}"
    assert found["REQUESTS_CA_BUNDLE"] == found["SSL_CERT_FILE"] == found["NODE_EXTRA_CA_CERTS"]
    assert found["AZURE_CORE_INSTANCE_DISCOVERY"] == "false"
    assert found["HSMVAULT_DATA_DIR"] == str(dev_instance.data_dir)
    assert int(found["HSMVAULT_PID"]) == dev_instance.process.pid
    assert "AZURE_CLIENT_CERTIFICATE_PATH" not in found
    for path in ("dev.env", "dev-identity.env"):
        assert stat.S_IMODE((dev_instance.data_dir / path).stat().st_mode) == 0o600
    assert stat.S_IMODE(dev_instance.data_dir.stat().st_mode) == 0o700
    assert set(read_environment(dev_instance.data_dir / "dev-identity.env")) == {"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}


def test_the_line_that_is_printed_at_the_start_prepares_a_shell(dev_instance: DevInstance) -> None:
    said = dev_instance.log.read_text()
    line = next(line for line in said.splitlines() if 'eval "$(' in line)
    command = line[line.index("eval ") :]
    shell = subprocess.run(
        ["bash", "-euc", f"{command}; env -0"], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    variables = dict(pair.split("=", 1) for pair in shell.stdout.decode().split("\0") if pair)
    assert {name: variables.get(name) for name in dev_instance.environment} == dev_instance.environment
