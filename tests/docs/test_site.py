"""The pages as a site: every page is in it, no link leads nowhere, nothing is fetched from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.reference.site import _moved
from tests.docs.pages import ROOT, name_of, page_paths

# What the theme says of itself at the foot of a page, to be clicked.
_CREDITS = {
    "https://www.mkdocs.org/",
    "https://readthedocs.org",
    "https://github.com/readthedocs/sphinx_rtd_theme",
}


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
    return subprocess.run([*command, "--site-dir", str(folder)], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = [name_of(path).removeprefix("docs/") for path in page_paths() if path.parent != ROOT]
    made = [re.sub(r"(?:^|(?<=/))README\.md$", "index.md", page).replace(".md", ".html") for page in pages]
    assert [page for page in made if not (site / page).is_file()] == []


def test_links_that_leave_the_docs_lead_to_what_the_site_brings_along(site: Path) -> None:
    page = (site / "get-started.html").read_text()
    assert 'href="repository/index.html#three-commands"' in page
    assert (site / "repository" / "index.html").is_file()
    assert (site / "repository" / "schemas" / "predictor.thrift").is_file()


@pytest.mark.parametrize(
    ("link", "page", "target"),
    [
        ("../README.md", "index.md", "repository/README.md"),
        ("../../schemas/plan.md", "reference/predictor.md", "../repository/schemas/plan.md"),
        ("docs/operations.md", "repository/README.md", "../operations.md"),
        ("docs/runbooks/", "repository/README.md", "../runbooks/README.md"),
        ("ARCHITECTURE.md", "repository/README.md", "ARCHITECTURE.md"),
        ("../docs/rows.md", "repository/schemas/topics.md", "../../rows.md"),
        ("operations.md", "index.md", ""),
        ("https://example.org/a", "repository/README.md", ""),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(link: str, page: str, target: str) -> None:
    assert _moved(link, page) == target


def test_the_site_asks_nobody_for_anything(site: Path) -> None:
    loaded: set[str] = set()
    for path in site.rglob("*.html"):
        text = path.read_text()
        loaded |= set(re.findall(r'<(?:script|img|iframe)[^>]* src="(?:https?:)?//[^"]+', text))
        loaded |= set(re.findall(r'<link[^>]* href="(?:https?:)?//[^"]+', text))
    assert loaded == set()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("[x](absent.md)", "absent.md"),
        ("[x](page.md#nowhere)", "nowhere"),
        ("[x](../absent.md)", "absent.md"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(words: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(f"# Page\n\n{words}\n")
    settings = (ROOT / "mkdocs.yml").read_text().split("exclude_docs")[0]
    hook = str(ROOT / "docs/reference/site.py")
    (tmp_path / "mkdocs.yml").write_text(settings.replace("docs/reference/site.py", hook))
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    assert complaint in done.stderr
