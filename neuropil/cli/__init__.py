"""The command line. `main` is its entry point; `commands` says what it can do.

Exit status: 0; 1 the run failed; 2 a wrong request (one line on standard error); 130 interrupted.
"""

import sys
from typing import Any, NoReturn

from neuropil.studies.refuse import Refused, nearest


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of `neuropil`."""
    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status. One line on standard error where it cannot."""
    try:
        if (wanted := _plain_list(arguments)) is not None:
            print_list(*wanted)
            return 0
        return _command(arguments)
    except Refused as refused:
        return _say(str(refused), refused.code)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:  # neuropil list | head
        sys.stderr.close()
        return 0
    except (ValueError, KeyError, OSError) as error:
        if _ours(error):
            return _say(str(error.args[0] if isinstance(error, KeyError) else error), 2)
        raise


def _plain_list(arguments: list[str]) -> tuple[str | None, bool] | None:
    """Family and --json where a plain `list` is asked for, else None.

    Answered before typer is imported: that takes 0.3 s, and scripts ask for the list often.
    """
    if not arguments or arguments[0] != "list":
        return None
    family, json, rest = None, False, arguments[1:]
    while rest:
        word = rest.pop(0)
        if word == "--json":
            json = True
        elif word == "--family" and rest and not rest[0].startswith("-"):
            family = rest.pop(0)
        else:
            return None
    return family, json


def print_list(family: str | None, json: bool) -> None:
    """The catalogue, as a table or as JSON."""
    from neuropil.studies import catalogue

    papers = list(catalogue.select(family))
    if json:
        from json import dumps

        print(dumps([paper.json() for paper in papers], indent=1, ensure_ascii=False))
        return
    from neuropil.studies.display import catalogue_table

    catalogue_table(console(), papers)


def console(stderr: bool = False) -> Any:
    """Where rich prints; lines for a pipe or a file are not folded at 80 columns."""
    from rich.console import Console

    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=200)


def _command(arguments: list[str]) -> int:
    from typer.main import get_command

    from neuropil.cli.commands import app

    command = get_command(app)
    try:
        return command.main(args=arguments, prog_name="neuropil", standalone_mode=False) or 0
    except Exception as error:
        if hasattr(error, "format_message"):  # typer: a wrong option or command
            return _say(_with_hint(command, error), getattr(error, "exit_code", 2))
        if type(error).__name__ == "Abort":
            return _say("interrupted", 130)
        raise


def _with_hint(command: Any, error: Any) -> str:
    line = error.format_message()
    if line.startswith("No such command"):
        wrong = line.split("'")[1]
        group = getattr(getattr(error, "ctx", None), "command", command)
        return f"no command {wrong!r}; {nearest(wrong, getattr(group, 'commands', {}))}"
    return line


def _ours(error: BaseException) -> bool:
    """Whether neuropil itself raised it, to say something to the user in one line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith(
        "neuropil"
    )


def _say(line: str, code: int) -> int:
    print(f"neuropil: {' '.join(line.split())}", file=sys.stderr)
    return code
