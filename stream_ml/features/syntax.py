"""From the text of an expression to Python's syntax tree, and from its nodes back to places in the text."""

from __future__ import annotations

import ast
import keyword
import re
import warnings

from stream_ml.features.problems import Span

# About fifty lines: what is longer belongs in the producer, as a field of its own.
MOST_CHARACTERS = 4096

# The words of Python's grammar that the feature language uses too.
OUR_KEYWORDS = {"and", "or", "not", "in", "is", "if", "else", "None", "True", "False"}


class ExpressionError(Exception):
    """
    An expression is refused.

    Attributes:
        span: the characters of the expression's text that are wrong.
    """

    def __init__(self, span: Span, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.span, self.message, self.hint = span, message, hint


class NodeError(Exception):
    """What a check says of a node of the tree, before its place in the text is known."""

    def __init__(self, node: ast.expr, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.node, self.message, self.hint = node, message, hint


class Syntax:
    """
    One parsed expression.

    Attributes:
        tree: its root.
    """

    def __init__(self, text: str) -> None:
        """Raises ExpressionError: *text* is no expression of Python's grammar."""
        self._whole = Span(0, len(text))
        if len(text) > MOST_CHARACTERS:
            raise self._refused(
                f"an expression of {len(text)} characters; at most {MOST_CHARACTERS} are allowed"
            )
        # One line, so that a place in the tree is a single offset; its length does not change.
        one_line = re.sub(r"[\r\n]", " ", text)
        self._line = one_line.lstrip()
        self._indent = len(one_line) - len(self._line)
        if not self._line:
            raise self._refused("an empty expression", 'a field\'s name is the shortest one: "price"')
        self._bytes = self._line.encode("utf-8", errors="surrogatepass")
        self.tree = self._parse()

    def span(self, node: ast.expr) -> Span:
        """Return where *node* stands in the expression's text."""
        end = node.col_offset if node.end_col_offset is None else node.end_col_offset
        return Span(self._characters(node.col_offset), self._characters(end))

    def _characters(self, byte_offset: int) -> int:
        # The tree counts bytes of UTF-8, a text is counted in characters.
        return self._indent + len(self._bytes[:byte_offset].decode("utf-8", errors="replace"))

    def _refused(self, message: str, hint: str = "") -> ExpressionError:
        return ExpressionError(self._whole, message, hint)

    def _parse(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                # What Python only warns of ("\d" in a text, 1if x) is a mistake here.
                warnings.simplefilter("error")
                tree = ast.parse(self._line, mode="eval").body
        except SyntaxError as error:
            raise self._syntax_error(error) from None
        except (ValueError, MemoryError, RecursionError) as error:
            # A NUL byte; brackets or signs nested deeper than Python's parser goes.
            raise self._refused(f"not an expression: {error or 'nested too deeply'}") from None
        self._refuse_comment(tree)
        return tree

    def _refuse_comment(self, tree: ast.expr) -> None:
        """A comment would hide what follows it in an expression of several lines."""
        end = self.span(tree).end
        comment = self._line.find("#", end - self._indent)
        if comment >= 0:
            start = comment + self._indent
            raise ExpressionError(
                Span(start, start + 1), "a comment inside an expression", "put it outside of the quotes"
            )

    def _syntax_error(self, error: SyntaxError) -> ExpressionError:
        for word in re.finditer(r"\w+", self._line):
            if keyword.iskeyword(word.group()) and word.group() not in OUR_KEYWORDS:
                hint = f'a word of Python\'s: for a field of that name write field("{word.group()}")'
                return ExpressionError(self._indented(*word.span()), error.msg, hint)
        if not error.offset:
            last = len(self._line.rstrip())
            return ExpressionError(self._indented(last - 1, last), "the expression ends too early")
        start = min(error.offset - 1, len(self._line) - 1)
        end = max((error.end_offset or 0) - 1, start + 1)
        return ExpressionError(self._indented(start, end), error.msg)

    def _indented(self, start: int, end: int) -> Span:
        return Span(start + self._indent, end + self._indent)
