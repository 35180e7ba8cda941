"""A release is a tag and a line in releases.toml, and both can be rebuilt in any full clone."""

from pathlib import Path

import pytest

from tools import checkout, git, release, releases
from tools.errors import GitFailed, ReleaseRefused


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git.run(root, "init", "--quiet")
    (root / "releases.toml").write_text("# nothing yet\n", encoding="utf-8")
    announce(root, "0.1.0")
    return root


def announce(root: Path, version: str) -> None:
    """Commit what a release of this version needs."""
    (root / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## {version} - 2026-11-23\n- You can now.\n", encoding="utf-8"
    )
    (root / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "{version}"\n', encoding="utf-8")
    git.run(root, "add", "--all")
    git.run(root, "commit", "--quiet", "--message", f"Announce {version}")


def test_tags_head_and_records_it_in_the_next_commit(repository: Path) -> None:
    head = git.run(repository, "rev-parse", "HEAD")
    release.cut(repository, "0.1.0")
    assert releases.read(repository) == {"0.1.0": head}
    assert git.run(repository, "rev-list", "-n", "1", "v0.1.0") == head
    assert git.run(repository, "rev-parse", "HEAD~1") == head
    assert git.run(repository, "status", "--porcelain") == ""


def test_sorts_versions_by_number(repository: Path) -> None:
    for version in ("0.2.0", "0.9.0", "0.10.0"):
        announce(repository, version)
        release.cut(repository, version)
    assert list(releases.read(repository)) == ["0.2.0", "0.9.0", "0.10.0"]


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3-rc1", "01.2.3", "1.2.3\n", "--force"])
def test_refuses_what_is_not_a_version(repository: Path, version: str) -> None:
    with pytest.raises(ReleaseRefused, match="is not a version"):
        release.cut(repository, version)
    assert git.run(repository, "tag") == ""


def test_refuses_a_dirty_tree(repository: Path) -> None:
    (repository / "new.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ReleaseRefused, match=r"1 uncommitted change\(s\), first new.txt"):
        release.cut(repository, "0.1.0")


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
def test_refuses_a_version_that_is_not_newer(repository: Path, version: str) -> None:
    release.cut(repository, "0.1.0")
    with pytest.raises(ReleaseRefused, match="is not newer than 0.1.0"):
        release.cut(repository, version)


def test_refuses_a_version_that_the_changelog_does_not_name(repository: Path) -> None:
    with pytest.raises(ReleaseRefused, match="no section for 0.2.0"):
        release.cut(repository, "0.2.0")


def test_refuses_a_version_that_pyproject_does_not_name(repository: Path) -> None:
    (repository / "CHANGELOG.md").write_text("## [0.2.0]\n", encoding="utf-8")
    git.run(repository, "commit", "--quiet", "--all", "--message", "half")
    with pytest.raises(ReleaseRefused, match="version is '0.1.0'; set it to '0.2.0'"):
        release.cut(repository, "0.2.0")


def test_leaves_nothing_behind_a_refused_commit(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with pytest.raises(GitFailed):
        release.cut(repository, "0.1.0")
    assert git.run(repository, "tag") == ""
    assert releases.read(repository) == {}


def test_rebuilds_missing_tags(repository: Path) -> None:
    release.cut(repository, "0.1.0")
    git.run(repository, "tag", "--delete", "v0.1.0")
    assert release.restore_tags(repository) == "created v0.1.0"
    assert release.restore_tags(repository) == "every tag is there"


def test_refuses_a_tag_that_is_elsewhere(repository: Path) -> None:
    release.cut(repository, "0.1.0")
    git.run(repository, "tag", "--force", "v0.1.0", "HEAD")
    with pytest.raises(ReleaseRefused, match="git tag -d v0.1.0"):
        release.restore_tags(repository)


def test_names_the_remedy_when_a_commit_is_missing(repository: Path, tmp_path: Path) -> None:
    release.cut(repository, "0.1.0")
    git.run(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), "shallow")
    with pytest.raises(ReleaseRefused, match="git fetch --unshallow"):
        release.restore_tags(tmp_path / "shallow")


def test_clone_holds_uncommitted_files_and_is_newer_than_every_release(
    repository: Path, tmp_path: Path
) -> None:
    release.cut(repository, "0.1.0")
    (repository / "new.txt").write_text("x", encoding="utf-8")
    (repository / "pyproject.toml").unlink()
    assert checkout.clone(repository, tmp_path / "clone") == "v0.1.0.post1"
    assert git.run(tmp_path / "clone", "tag").splitlines() == ["v0.1.0", "v0.1.0.post1"]
    assert git.run(tmp_path / "clone", "ls-files").splitlines() == [
        "CHANGELOG.md",
        "new.txt",
        "releases.toml",
    ]
    assert git.run(tmp_path / "clone", "status", "--porcelain") == ""
