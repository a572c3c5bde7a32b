"""The HTML page: one self-contained file, no script, no link to anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hwgen.report.terminal import labels_of
from hwgen.resources import data_folder


def write_html(directory: Path, manifest: Mapping[str, Any]) -> Path:
    """Write `report.html` into a build directory and return its path."""
    environment = Environment(
        loader=FileSystemLoader(data_folder("rtl_templates")),
        undefined=StrictUndefined,
        autoescape=True,  # model and layer names are foreign input
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    page = directory / "report.html"
    text = template.render(
        manifest=manifest,
        labels=labels_of(manifest),
        slowest=max((layer["cycles"] for layer in manifest["layers"]), default=1),
        largest=max((layer["resources"]["lut"] for layer in manifest["layers"]), default=1) or 1,
    )
    page.write_text(text, encoding="utf-8")
    return page
