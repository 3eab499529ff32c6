"""Figures of a metric as people read them: commands, pages and messages write them alike."""

from collections.abc import Sequence

from tfeff.record.making import Link, Simulation
from tfeff.record.measured import Accuracy, PortAgreement

_NAMED = 3  # units


def figure(value: float, unit: str) -> str:
    """`91.25 %`, `0.03412`, `1.204 px`."""
    return f"{value:.2f} %" if unit == "%" else f"{value:.4g} {unit}".rstrip()


def difference(value: float, unit: str) -> str:
    """`-0.75 points`, `+0.00012`, `+0.4 px`."""
    return f"{signed(value, unit)} {'points' if unit == '%' else unit}".rstrip()


def drop(accuracy: Accuracy) -> str:
    """`top-1 fell by 1.20 points`, `MAE rose by 0.031 m`."""
    verb = "fell" if accuracy.higher_is_better else "rose"
    return f"{accuracy.metric} {verb} by {amount(accuracy.drop, accuracy.unit)}"


def amount(value: float, unit: str) -> str:
    """A difference without a sign: `1.20 points`, `0.031 m`."""
    return f"{value:.2f} points" if unit == "%" else f"{value:.4g} {unit}".rstrip()


def signed(value: float, unit: str) -> str:
    """The same without the unit."""
    return f"{value:+.2f}" if unit == "%" else f"{value:+.4g}"


def interval(accuracy: Accuracy) -> str:
    """Of the difference: `[-1.15, -0.35]`."""
    return f"[{signed(accuracy.ci95[0], accuracy.unit)}, {signed(accuracy.ci95[1], accuracy.unit)}]"


def metric(accuracy: Accuracy) -> str:
    """`MAE in px, less is better`."""
    unit = f" in {accuracy.unit}" if accuracy.unit else ""
    return f"{accuracy.metric}{unit}, {'more' if accuracy.higher_is_better else 'less'} is better"


def sqnr(port: PortAgreement) -> str:
    """`33.3 dB`; without an error there is no ratio, and none of an output that is 0 throughout."""
    if port.sqnr_db is not None:
        return f"{port.sqnr_db:.1f} dB"
    if port.equal_share is not None:
        return ""
    return "no signal" if port.max_abs_error else "no error"


def likeness(port: PortAgreement) -> str:
    """`cosine 0.99991`, or of integers `99.83 % equal`."""
    if port.equal_share is not None:
        return f"{100 * port.equal_share:.2f} % equal"
    return "" if port.cosine is None else f"cosine {port.cosine:.5f}"


def unproven(simulation: Simulation) -> str | None:
    """`2 of 12 units differ from the simulation by more than 1 step of int8: gru (up to 84), average (up to 3)`; None
    where all are within that."""
    if not simulation.beyond:
        return None
    steps = {each.unit: each.max_lsb for each in simulation.differing}
    worst = sorted(simulation.beyond, key=lambda unit: -steps.get(unit, 0))
    named = ", ".join(f"{unit} (up to {steps[unit]:g})" if unit in steps else unit for unit in worst[:_NAMED])
    more = f" and {len(worst) - _NAMED} more" if len(worst) > _NAMED else ""
    count = f"{len(worst)} of {simulation.units or len(worst)} units"
    return f"{count} differ from the simulation by more than 1 step of int8: {named}{more}"


def chain(links: Sequence[Link]) -> str:
    """`model = inlined (1.2e-07) = rewritten (3.0e-07) = simulation (2.1e-06); model = float file (4.4e-06)`."""
    parts: list[list[str]] = []
    ends: list[str] = []
    for link in links:
        step = f" = {link.to} ({link.relative_error:.1e})"
        if link.of in ends:
            number = ends.index(link.of)
            parts[number].append(step)
            ends[number] = link.to
        else:
            parts.append([link.of, step])
            ends.append(link.to)
    return "; ".join("".join(part) for part in parts)
