"""Text of strangers as a terminal may show it: a name in a file can hold what a terminal would obey."""


def shown(text: str) -> str:
    """One line in which all that does not print, a newline and what turns the direction of writing too, is escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def shown_lines(text: str) -> str:
    """The same for a text whose newlines are its own."""
    return "\n".join(map(shown, text.split("\n")))


def _escaped(letter: str) -> str:
    return ascii(letter)[1:-1]
