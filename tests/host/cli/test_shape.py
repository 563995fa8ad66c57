"""Commands stay thin and files small: a command says what it takes, the pipeline does it."""

import ast
from pathlib import Path

import gdws

ROOT = Path(gdws.__file__).parent


def lines(node: ast.FunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_of_the_command_line_has_more_than_60_lines() -> None:
    functions = [
        (path.name, node.name, lines(node))
        for path in (ROOT / "cli").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert len(functions) > 100
    assert not [each for each in functions if each[-1] > 60]


def test_no_file_has_more_than_400_lines() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert len(lengths) > 100
    assert not {name: length for name, length in lengths.items() if length > 400}
