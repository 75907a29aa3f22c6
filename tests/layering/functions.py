"""The functions of a C++ source: how long they are, and which names are called. Helper module of check.py.

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


_TEMPLATE = re.compile(r"\btemplate\s*<[^{};()]*>\s*(?=\S)")
_WORD = re.compile(r"[A-Za-z_]\w*")


def _blank(text):
    return _BLANKED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def _opens_function(head):
    head = _TEMPLATE.sub("", head)
    return "(" in head and not _SCOPE.search(head.split("(")[0])


def _pieces(code):
    """What stands at the scope of a file, namespace or class, as ("declaration" | "function" | "scope", where it begins, head,
    body, where it ends). What is inside of a function is its body."""
    depth, inside, begin = 0, None, 0
    for at in re.finditer(r"[{};]", code):
        place = at.start()
        if inside is not None:
            depth += {"{": 1, "}": -1}.get(at[0], 0)
            if depth == 0:
                head, first, opened = inside
                yield "function", first, head, code[opened:place], place
                inside, begin = None, place + 1
            continue
        head = code[begin:place]
        if at[0] == "{" and _opens_function(head):
            inside, depth = (head, begin + len(head) - len(head.lstrip()), place), 1
            continue
        yield "scope" if at[0] == "{" else "declaration", begin, head, "", place
        begin = place + 1


def functions(text):
    """(name, first line, number of lines) of each function that is defined at the scope of a file, namespace or class; what is
    inside of a function counts to it."""
    code = _blank(text)
    found = []
    for kind, begin, head, _, end in _pieces(code):
        if kind == "function":
            first = code.count("\n", 0, begin) + 1
            found.append((_name(head), first, code.count("\n", 0, end) + 2 - first))
    return found


def names(text):
    """The functions that this source defines, as (name, line), and all words that may call one: those of other functions'
    bodies, of initialisers, and of macros. A name that is defined twice counts as called where the one is in the other."""
    code = _blank(text)
    defined, called = [], set()
    for macro in re.findall(r"^[ \t]*#[ \t]*define(?:\\\n|[^\n])*", text, re.MULTILINE):
        called.update(_WORD.findall(macro))
    for kind, begin, head, body, _ in _pieces(code):
        if kind == "function":
            name = _name(head).split("::")[-1].strip()
            if not re.search(r"\boverride\b|\bfriend\b", head):
                defined.append((name, code.count("\n", 0, begin) + 1))
            called.update(word for word in _WORD.findall(body) if word != name)
            bare = _TEMPLATE.sub("", head)
            called.update(_WORD.findall(bare[bare.index("("):]))
        elif kind == "scope" or "=" in head:
            called.update(_WORD.findall(head))
    return defined, called


def _name(head):
    test = re.search(r"BOOST_\w+_TEST_CASE\w*\(\s*(\w+)|BOOST_AUTO_TEST_CASE\(\s*(\w+)|BOOST_FIXTURE_TEST_CASE\(\s*(\w+)", head)
    if test:
        return next(filter(None, test.groups()))
    named = re.search(r"([\w:~]+|operator\s*[^\s(]+)\s*\(", head)
    return named[1] if named else "?"
