"""Code becomes one line and comes back with the same lines under the same lines."""

import ast
import statistics
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.layout import from_line, to_line, usual_indent

CODE = textwrap.dedent(
    """\
    def first(rows):
        for row in rows:
            if row:

                return row
        return None


    print(first([]))"""
)


def test_breaks_and_levels_are_signs():
    assert to_line(CODE) == (
        "def first(rows): ⇥ for row in rows: ⇥ if row: ⏎ ⇥ return row ⇤ ⇤ return None ⏎ ⏎ ⇤ print(first([]))"
    )
    assert from_line(to_line(CODE), "    ") == CODE


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a", "a"),
        ("  a  ", "a"),
        ("\n\n  a\n  b\n\n", "a ⏎ b"),
        ("a\r\n\tb\r\tc", "a ⇥ b ⏎ c"),
        ("a\n  b\n      c\n    d\n e", "a ⇥ b ⇥ c ⏎ d ⇤ e"),  # d is under b, e under a
        ("a:\n        b", "a: ⇥ b"),
        ("    a\n  b\nc", "a ⏎ b ⏎ c"),  # none is deeper than the line it stands under
        ("    a\nb:\n    c\nd", "a ⏎ b: ⇥ c ⇤ d"),  # nor is b, under which c stands
        ("⏎ ⇥\n⇤", "↵ → ⏎ ←"),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_a_level_is_what_is_deeper_than_the_line_above_it(text, line):
    assert to_line(text) == line


@pytest.mark.parametrize(
    ("line", "text"),
    [("⇥ a", "  a"), ("a ⇤ ⇤ b", "a\nb"), ("a⏎b", "a\nb"), ("⏎ a ⏎ ⏎", "a"), ("a ⇥ ⏎ ⇤ b", "a\n\n\nb")],
)
def test_whatever_a_model_writes_is_a_text(line, text):
    assert from_line(line, "  ") == text


@given(st.text(alphabet="ab \t\n\r⏎⇥⇤:", max_size=60), st.sampled_from(["  ", "    ", "\t"]))
def test_what_is_kept_stays_as_it_is(text, indent):
    line = to_line(text)
    assert "\n" not in line
    assert to_line(from_line(line, indent)) == line


@pytest.mark.parametrize("module", [statistics, textwrap, ast])
def test_functions_of_python_mean_the_same_afterwards(module):
    source = Path(module.__file__).read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for node in functions:
        node.body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
        code = ast.unparse(node)  # without the docstring, whose blanks are text
        assert ast.dump(ast.parse(from_line(to_line(code), "  "))) == ast.dump(ast.parse(code))
    assert len(functions) > 10


@pytest.mark.parametrize(
    ("texts", "indent"),
    [
        ([CODE], "    "),
        (["a\n  b", "a\n  b\n      c", "a\n    b"], "  "),
        (["\ta\n\t\tb"], "\t"),
        (["a\n" + " " * 30 + "b"], "    "),
        (["one line", ""], "    "),
    ],
)
def test_a_level_is_as_wide_as_it_usually_is(texts, indent):
    assert usual_indent(texts) == indent
