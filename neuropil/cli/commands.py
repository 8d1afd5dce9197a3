"""The commands: `neuropil list | show | run | data | report | store | cite | demo`.

Nothing heavy is imported before a command needs it: `--help` answers without JAX.
"""

from typing import Annotated

import typer

from neuropil.cli import console, print_list
from neuropil.studies.refuse import Refused, nearest

app = typer.Typer(
    help="Published brain-inspired systems, run beside their baselines, with their claims judged.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="Data sets: what is registered, fetched, whole.", no_args_is_help=True)
app.add_typer(data, name="data")

Slug = Annotated[str, typer.Argument(help="a paper's slug (neuropil list), or file.py:STUDY")]
Dataset = Annotated[str, typer.Argument(help="a data set's name (neuropil data list)")]
Folder = Annotated[str, typer.Argument(help="the folder of a run")]


@app.command("list")
def list_papers(
    family: Annotated[
        str | None, typer.Option(help="only this family, such as build.memory")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Every paper of the catalogue: planned or works, and the verdicts of its claims."""
    print_list(family, json)


@app.command()
def show(slug: Slug) -> None:
    """Mechanism, claim, arms, scales, cost, data, stored verdicts, citation of one paper."""
    from neuropil.studies import catalogue
    from neuropil.studies.display import card
    from neuropil.studies.plan import load

    paper = catalogue.paper(slug)
    study = load(slug) if paper.module else None
    card(console(), paper, study, catalogue.stored(slug, "small"))


@app.command()
def cite(slug: Slug) -> None:
    """The BibTeX entry of one paper."""
    from neuropil.studies import catalogue
    from neuropil.studies.plan import load

    paper = catalogue.paper(slug)
    if paper.module is None:
        raise Refused(
            f"{slug} is planned, its citation comes with its page; its title: {paper.title}"
        )
    print(load(slug).cite.strip())


@app.command()
def run(
    slug: Slug,
    scale: Annotated[str | None, typer.Option(help="smoke, small (default) or paper")] = None,
    seeds: Annotated[int | None, typer.Option(help="number of seeds: 0, 1, ...")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="key=value, a setting")] = None,
    out: Annotated[str | None, typer.Option(help="folder (default runs/SLUG-SCALE-DATE)")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that stopped")] = False,
    workers: Annotated[int | None, typer.Option(help="processes (default: one a core)")] = None,
) -> None:
    """Run a paper's arms over seeds; ends with its table, its verdicts, and a report."""
    from neuropil.studies.display import results
    from neuropil.studies.folder import read_json
    from neuropil.studies.plan import plan
    from neuropil.studies.runner import compilation_cache, execute

    settled = plan(slug, scale, seeds, sets or (), out, resume, workers)
    output, errors = console(), console(stderr=True)
    errors.print(
        f"{settled.study.slug}, scale {settled.scale}: {len(settled.study.arms)} arms,"
        f" {len(settled.seeds)} seeds, in {settled.folder.path}",
        highlight=False,
    )
    compilation_cache()
    summary = execute(settled, errors)
    results(output, summary, read_json(settled.folder / "study.json"))
    output.print(f"report: {settled.folder / 'report.html'}", highlight=False, soft_wrap=True)


@app.command()
def report(folder: Folder) -> None:
    """Write the self-contained HTML report of a finished run again; prints its path."""
    from neuropil.studies.report import write_report

    print(write_report(folder))


@app.command()
def store(folder: Folder) -> None:
    """Keep the result of a finished run in the repository, under results/SLUG/SCALE.json."""
    from neuropil.studies.store import store as keep

    print(keep(folder))


@app.command()
def demo(
    out: Annotated[str, typer.Option(help="folder for the figure")] = "runs/demo",
) -> None:
    """Build a network, record it, fit it, compare it with macaque V4: one script, one figure."""
    try:
        from neuropil.papers import bridge
    except ModuleNotFoundError as error:
        raise Refused(f"the bridge cannot be loaded: {error}", 1) from None
    try:
        bridge.main(out)
    except (ValueError, OSError) as error:
        raise Refused(str(error), 1) from error


@data.command("list")
def data_list() -> None:
    """Every registered data set, and whether it is on this machine."""
    from neuropil.studies.display import data_table
    from neuropil.worlds import datasets

    cards = [datasets.info(name) for name in datasets.names()]
    rows = (
        (c.name, "yes" if datasets.available(c.name) else "no", c.bytes, c.licence, c.title)
        for c in cards
    )
    data_table(console(), rows)


@data.command("get")
def data_get(name: Dataset) -> None:
    """Fetch a data set, unless it is here; prints its files."""
    from neuropil.worlds import datasets

    _known(name)
    for file, path in datasets.fetch(name).items():
        print(f"{file}: {path}")


@data.command("verify")
def data_verify(
    name: Annotated[str | None, typer.Argument(help="a data set's name (default: all)")] = None,
) -> None:
    """Hash the files that are here again; exit status 1 where one is missing or wrong."""
    from neuropil.worlds import datasets

    if name is not None:
        _known(name)
    chosen = [name] if name else [n for n in datasets.names() if datasets.available(n)]
    bad = 0
    for one in chosen:
        for file, check in datasets.verify(one).items():
            bad += not check.ok
            print(f"{'ok' if check.ok else 'WRONG'} {one} {file}: {check.note}")
    if bad:
        raise typer.Exit(1)


def _known(name: str) -> None:
    from neuropil.worlds import datasets

    if name not in datasets.names():
        raise Refused(f"no data set {name!r}; {nearest(name, datasets.names())}")
