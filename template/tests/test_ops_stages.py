import re
from pathlib import Path

import pytest

from app import files
from app.errors import ConfigError
from ops import stages
from ops.errors import NotReady


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    return Path("config/deploy.toml")


def test_the_projects_own_file_has_no_fault():
    files.read_toml(stages.FILE, stages.Stages)


def test_an_unknown_stage_is_refused_with_the_known_ones(config):
    config.write_text("[stages.staging]\n")
    with pytest.raises(NotReady, match=r"no stage 'prod' in config/deploy.toml \(known: staging\)"):
        stages.load("prod")


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(config):
    config.write_text("[stages.a]\nhots = ['local']\n[stages.a.canary]\nstep = [5]\n")
    with pytest.raises(ConfigError, match="did you mean 'hosts'") as caught:
        stages.load("a")
    assert "did you mean 'steps'" in str(caught.value)


@pytest.mark.parametrize("host", ["root@host", "ssh://host", "http://host", "ssh://a@b -oProxyCommand=x", ""])
def test_what_is_no_host_is_refused(config, host):
    config.write_text(f"[stages.a]\nhosts = ['{host}']\n")
    with pytest.raises(ConfigError, match="hosts"):
        stages.load("a")


@pytest.mark.parametrize("steps", [[0, 5], [25, 5], [5, 100], [5, 5]])
def test_shares_must_rise_between_0_and_100(config, steps):
    config.write_text(f"[stages.a.canary]\nsteps = {steps}\n")
    with pytest.raises(ConfigError, match="must rise"):
        stages.load("a")


def test_without_a_domain_only_this_machine_is_served(config):
    config.write_text("[stages.a]\nport = 8080\n")
    stage = stages.load("a")
    assert stage.ports == {"80/tcp": ("127.0.0.1", 8080)}
    assert stage.url == "http://127.0.0.1:8080"


def test_a_domain_is_served_with_tls_on_all_addresses(config):
    config.write_text("[stages.a]\ndomain = 'app.example.com'\n")
    stage = stages.load("a")
    assert stage.ports == {"80/tcp": ("0.0.0.0", 80), "443/tcp": ("0.0.0.0", 443)}
    assert stage.url == "https://app.example.com"


def test_only_the_first_of_several_hosts_faces_the_clients(config):
    config.write_text("[stages.a]\nhosts = ['ssh://d@10.0.0.1', 'ssh://d@10.0.0.2:2222']\n")
    stage = stages.load("a")
    assert stage.inside("ssh://d@10.0.0.1") == {}
    assert stage.inside("ssh://d@10.0.0.2:2222") == {"8080/tcp": ("10.0.0.2", 8080)}


def test_the_page_on_deploys_names_every_key():
    text = Path("docs/deploy.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"`(\w+)`", text))
    keys = {*stages.Stage.model_fields, *stages.Canary.model_fields} - {"canary", "backup"}
    assert keys <= shown


def test_a_host_behind_the_first_is_named_by_its_address(config):
    config.write_text("[stages.a]\nhosts = ['ssh://d@web1.example.com', 'ssh://d@web2.example.com']\n")
    with pytest.raises(ConfigError, match=r"web2\.example\.com': name it by the address"):
        stages.load("a")
