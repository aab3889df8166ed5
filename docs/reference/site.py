"""
What the site adds to the pages: they link to files beside docs/, as a repository's do; it brings those along.

mkdocs calls these hooks by their names.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# A link and its anchor.
_LINK = re.compile(r"\]\(([^()\s#]+)(#[^()\s]*)?\)")
# Blocks that have a name for tests after their language, which the site's Markdown takes for text.
_NAMED = re.compile(r"^(```\w+) [\w-]+$", re.MULTILINE)
BESIDE = "repository"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside docs/ that pages link to."""
    wanted = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"]
    for page in [*files.documentation_pages()]:
        wanted += [
            outside
            for link in _LINK.findall(page.content_string)
            if (outside := _outside(link[0], page.src_uri))
        ]
    for path in sorted({*wanted}):
        if (ROOT / path).is_file():
            made = File.generated(config, f"{BESIDE}/{path}", content=(ROOT / path).read_bytes())
            files.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files beside docs/ lead to where the site has them."""
    here = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        target = _moved(found[1], here)
        return f"]({target}{found[2] or ''})" if target else found[0]

    return _NAMED.sub(r"\1", _LINK.sub(moved, markdown))


def _outside(link: str, page: str) -> str:
    """Return the path in the repository that a page of docs/ links to outside of it; "" if it does not."""
    path = normpath(f"docs/{page}/../{link}")
    return "" if "://" in link or path.startswith(("docs/", "..")) else path


def _moved(link: str, page: str) -> str:
    """Return a link between pages of the site for one of the repository; "" if it stays as it is."""
    if "://" in link:
        return ""
    if page.startswith(f"{BESIDE}/"):
        path = normpath(f"{page.removeprefix(BESIDE + '/')}/../{link}")
        target = path.removeprefix("docs/") if path.startswith("docs/") else f"{BESIDE}/{path}"
    else:
        outside = _outside(link, page)
        if not outside:
            return ""
        target = f"{BESIDE}/{outside}"
    if (ROOT / "docs" / target).is_dir():
        target = f"{target}/README.md"
    return relpath(target, normpath(f"{page}/.."))
