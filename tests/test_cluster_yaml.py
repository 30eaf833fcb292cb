"""cluster.yaml and its AWS variant are what Ray's launcher accepts, with authentication on."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TEXTS = {
    "cluster.yaml": (ROOT / "cluster.yaml").read_text(),
    "docs/cluster.md": re.search(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "cluster.md").read_text(), re.S
    )[1],
}


@pytest.mark.parametrize("name", TEXTS)
def test_rays_own_validator_accepts_it(name):
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load(TEXTS[name])
    validate_config(prepare_config(config))


@pytest.mark.parametrize("name", TEXTS)
def test_both_start_commands_authenticate_and_the_token_is_shipped(name):
    config = yaml.safe_load(TEXTS[name])
    for side in ("head", "worker"):
        start = config[f"{side}_start_ray_commands"][-1]
        assert "RAY_AUTH_MODE=token ray start" in start
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]


@pytest.mark.parametrize("name", TEXTS)
def test_each_side_installs_what_it_needs(name):
    config = yaml.safe_load(TEXTS[name])
    everywhere = " ".join(config["setup_commands"])
    head = everywhere + " ".join(config["head_setup_commands"])
    worker = everywhere + " ".join(config.get("worker_setup_commands", []))
    assert config["file_mounts"]["~/raydl-wheel"] == "dist"  # where `pip wheel` puts it
    assert "~/raydl-wheel/*.whl" in head
    assert re.search(r"ray\[default\]==[\d.]+", head)
    assert re.search(r"ray\[default\]==[\d.]+", worker)
    assert "raydl" not in worker
