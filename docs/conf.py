"""Configuration of the documentation; see https://www.sphinx-doc.org."""

from importlib.metadata import version as installed_version

project = "Flask-Caching"
author = "the maintainers of this project"
copyright = f"2026, {author}"
release = installed_version("Flask-Caching")
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "examples"]

# Links in Markdown to a heading of another page: `[text](page.md#heading)`.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"Flask-Caching {version}"
