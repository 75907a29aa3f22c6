"""How long the functions of a C++ source are. Helper module of check.py.

No parser: comments and literals are blanked, and braces are told apart by what stands before them. That is enough for sources
that are formatted as ours are.
"""
import re

_BLANKED = re.compile(
    r"""R"(?P<mark>[^(\s]{0,16})\(.*?\)(?P=mark)"      # raw strings
      | //[^\n]* | /\*.*?\*/                            # comments
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'            # characters, but not the separators of numbers
      | ^[ \t]*\#(?:\\\n|[^\n])*                        # preprocessor
    """, re.VERBOSE | re.DOTALL | re.MULTILINE)
_SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b|^\s*(export\s+)?extern\s*$")


def _blank(text):
    return _BLANKED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def functions(text):
    """(name, first line, number of lines) of each function that is defined at the scope of a file, namespace or class; what is
    inside of a function counts to it."""
    code = _blank(text)
    found, depth, inside, begin = [], 0, None, 0
    scopes = []  # of each open brace outside of functions: does it open a scope?
    for at in re.finditer(r"[{};]", code):
        place = at.start()
        if inside is not None:
            depth += {"{": 1, "}": -1}.get(at[0], 0)
            if depth == 0:
                name, first = inside
                found.append((name, first, code.count("\n", 0, place) + 2 - first))
                inside, begin = None, place + 1
            continue
        if at[0] == "{":
            head = code[begin:place]
            if "(" in head and not _SCOPE.search(head.split("(")[0]):
                first = code.count("\n", 0, begin + len(head) - len(head.lstrip())) + 1
                inside, depth = (_name(head), first), 1
                continue
            scopes.append(True)
        elif at[0] == "}" and scopes:
            scopes.pop()
        begin = place + 1
    return found


def _name(head):
    test = re.search(r"BOOST_\w+_TEST_CASE\w*\(\s*(\w+)|BOOST_AUTO_TEST_CASE\(\s*(\w+)|BOOST_FIXTURE_TEST_CASE\(\s*(\w+)", head)
    if test:
        return next(filter(None, test.groups()))
    named = re.search(r"([\w:~]+|operator\s*[^\s(]+)\s*\(", head)
    return named[1] if named else "?"
