"""Draw the sample gallery: `python -m landmarks_tools.sample_gallery --out DIR`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from landmarks_tools.sample_gallery.gallery import ensure_sample_gallery


def main(
    out: Annotated[Path | None, typer.Option(help="folder; by default in the cache")] = None,
    views: Annotated[int, typer.Option(min=1, help="views of each landmark")] = 12,
    size: Annotated[int, typer.Option(min=16, help="pixels, width and height")] = 224,
    seed: Annotated[int, typer.Option(help="another seed, other views")] = 0,
) -> None:
    """Draw the missing views and print the gallery's folder."""
    with Progress(transient=True) as bar:
        task = bar.add_task("Drawing the sample gallery", total=None)
        directory = ensure_sample_gallery(
            out,
            views,
            size,
            seed,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(directory)


if __name__ == "__main__":
    typer.run(main)
