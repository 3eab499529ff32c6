"""What an audit says: one finding of the record each."""

from collections.abc import Iterable, Sequence

from tfeff.record.schema import Finding

NOTE, GRAVE = "note", "grave"
_NAMED = 20  # samples that a finding names; their number is in its text


def finding(code: str, severity: str, text: str, names: Sequence[str] = (), which: Iterable[int] = ()) -> Finding:
    """A finding about calibration samples.

    Args:
        code: what kind it is, a word with hyphens that stays the same over versions.
        severity: "note", or "grave": nothing should be quantized with these samples.
        text: one sentence for people.
        names: of all samples.
        which: numbers of those that it is about, of which 20 at most are named; none when it is about all of them.
    """
    named = [names[int(number)] for number in list(which)[:_NAMED]]
    return Finding(code=code, severity=severity, text=text, images=named)


def grave(findings: Iterable[Finding]) -> list[Finding]:
    """Those that should stop an export."""
    return [each for each in findings if each.severity == GRAVE]


def text_of(each: Finding) -> str:
    """A finding as a line for people; in records of old it was the line itself, without a code."""
    if not each.code:
        return each.text
    shown = ", ".join(each.images[:5]) + (", ..." if len(each.images) > 5 else "")
    return f"{each.severity}, {each.code}: {each.text}" + (f" ({shown})" if each.images else "")
