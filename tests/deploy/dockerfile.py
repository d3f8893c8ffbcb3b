"""The Dockerfile as a list of instructions, and what the last stage says of the image."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    word: str
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, of the JSON form or of the plain one."""
        form = re.search(r"\[.*\]$", self.text)
        return list(json.loads(form[0])) if form else shlex.split(self.text)


@dataclass(frozen=True)
class Dockerfile:
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.word == word]

    def last(self, word: str) -> Instruction:
        return self.all(word)[-1]

    @property
    def variables(self) -> dict[str, str]:
        """What the image sets in the environment."""
        pairs = (pair for instruction in self.all("ENV") for pair in instruction.words)
        return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def read_dockerfile() -> Dockerfile:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "").splitlines()
    pairs = (line.split(maxsplit=1) for line in joined)
    return Dockerfile(tuple(Instruction(word, text) for word, text in pairs))
