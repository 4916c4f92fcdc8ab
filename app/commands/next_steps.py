"""What ``drpo demo`` says at its end: the way from the simulated models to real ones."""

import shutil
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax

from app.commands.terminal import plain

CONFIGURATION = """\
[backends.mine]             # any OpenAI-compatible server
base_url = "http://127.0.0.1:8001/v1"
# api_key_env = "MY_KEY"    # the environment variable that holds its key

[targets.my-model]          # what to align, by the name that clients will use
backend = "mine"
model = "small-model"       # its name on that server

[roles]                     # who improves prompts, picks criteria and judges
proposer = { backend = "mine", model = "strong-model" }
selector = { backend = "mine", model = "strong-model" }
judge = { backend = "mine", model = "strong-model" }
"""


def show_next_steps(console: Console, program: str) -> None:
    """Print the configuration and the commands for a model of one's own.

    Args:
        console: where to print.
        program: how this process was called, for a reader who cannot call it ``drpo``.
    """
    name = Path(program).name
    drpo = "drpo" if shutil.which("drpo") or name != "drpo" else program
    console.print(plain("What to do next with a real model", style="bold"))
    console.print("1. Write this to drpo.toml, with your server and its models:\n")
    console.print(Syntax(CONFIGURATION, "toml", background_color="default", word_wrap=True))
    console.print("2. Start the service; it serves the API and works on jobs:\n")
    console.print(plain(f"   {drpo} serve\n"), soft_wrap=True)
    console.print("3. In another terminal, search a better prompt and ask through it:\n")
    console.print(plain(f"   {drpo} optimize my-model --budget-calls 2000"), soft_wrap=True)
    console.print(plain(f"   {drpo} chat my-model 'Hello'\n"), soft_wrap=True)
    console.print(
        "Any OpenAI client does as well: base URL http://127.0.0.1:8000/v1, model my-model.", soft_wrap=True
    )
