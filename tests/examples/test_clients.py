"""The reference clients are short, compile, and get the full grade of the sandbox."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.support.processes import ROOT, Program
from tests.support.programs import npm_installed, program

LONGEST = 250
EXAMPLES = ROOT / "examples"
HARNESSES = ROOT / "tests" / "examples" / "grading"
CLIENTS = {
    "web": EXAMPLES / "web" / "ticketgate.ts",
    "android": EXAMPLES / "android" / "TicketgateClient.kt",
    "harmony": EXAMPLES / "harmony" / "TicketgateClient.ets",
    "ios": EXAMPLES / "ios" / "Sources" / "Ticketgate" / "TicketgateClient.swift",
}
_ANDROID_JSON = Path("/usr/share/java/com.android.json.jar")


def checked(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a compiler. Its complaints are the failure of the test."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def web(folder: Path) -> list[str]:
    package = npm_installed(EXAMPLES / "web", folder / "web")
    checked(program("npm"), "run", "build", cwd=package)
    return [program("node"), str(HARNESSES / "node.mjs"), "web", str(package / "dist")]


def harmony(folder: Path) -> list[str]:
    package = npm_installed(HARNESSES, folder / "harmony")
    sources = sorted((EXAMPLES / "harmony").glob("*.ets"))
    checked(program("node"), package / "arkts.cjs", package, package / "kits.d.ts", *sources)
    return [program("node"), str(HARNESSES / "node.mjs"), "harmony", str(package)]


def android(folder: Path) -> list[str]:
    found = find_spec("run_kotlin_kernel")
    if found is None or found.origin is None or not _ANDROID_JSON.exists():
        pytest.skip("a Kotlin compiler (make clients) or libandroid-json-java is not installed")
    jars = Path(found.origin).with_name("jars")
    path = ":".join(map(str, [*sorted(jars.glob("*.jar")), _ANDROID_JSON]))
    stubs = sorted((HARNESSES / "stubs").rglob("*.java"))
    sources = [*sorted((EXAMPLES / "android").rglob("*.kt")), HARNESSES / "Android.kt"]
    compiler = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
    options = ["-no-stdlib", "-no-reflect", "-nowarn", "-cp", path, "-d", str(folder)]
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]  # halves the time of one compilation
    checked(program("java"), *quick, "-cp", path, compiler, *options, *sources, *stubs)
    return [program("java"), "-cp", f"{folder}:{path}", "AndroidKt"]


def ios(folder: Path) -> list[str]:
    swift = program("swift")
    shutil.copytree(EXAMPLES / "ios", folder / "ios")
    shutil.copytree(HARNESSES / "swift", folder / "swift")
    checked(swift, "build", cwd=folder / "swift")
    return [str(folder / "swift" / ".build" / "debug" / "grade")]


BUILDERS: dict[str, Callable[[Path], list[str]]] = {
    "web": web,
    "harmony": harmony,
    "android": android,
    "ios": ios,
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_has_at_most_250_lines(name: str) -> None:
    assert len(CLIENTS[name].read_text("utf-8").splitlines()) <= LONGEST


def test_the_swift_files_have_no_syntax_error() -> None:
    parsing = pytest.importorskip("tree_sitter", reason="make clients")
    grammar = pytest.importorskip("tree_sitter_swift", reason="make clients")
    parser = parsing.Parser(parsing.Language(grammar.language()))
    files = [*(EXAMPLES / "ios").rglob("*.swift"), *(HARNESSES / "swift").rglob("*.swift")]

    wrong = [file.name for file in files if parser.parse(file.read_bytes()).root_node.has_error]

    assert wrong == []
    assert len(files) > 4
    assert parser.parse(b"func broken( {").root_node.has_error


@pytest.mark.long
@pytest.mark.parametrize("name", BUILDERS)
def test_a_client_gets_the_full_grade(name: str, tmp_path: Path) -> None:
    command = BUILDERS[name](tmp_path)
    settings = dict(os.environ) | {"PORT": "0"}
    arguments = ("-m", "app", "sandbox", "--grade")
    with closing(Program(tmp_path, *arguments, environment=settings)) as sandbox:
        address = sandbox.line_with("Ticketgate sandbox on").split()[-1]
        phone = subprocess.run([*command, address], capture_output=True, text=True, check=False)
        logins = httpx.get(f"{address}/sandbox/stats").json()["logins"]

    assert phone.returncode == 0, phone.stderr
    report = json.loads(phone.stdout.splitlines()[-1])
    assert {
        each["name"]: each["findings"] for each in report["scenarios"] if each["findings"]
    } == {}
    assert report["finished"]
    assert logins > len(report["scenarios"])
