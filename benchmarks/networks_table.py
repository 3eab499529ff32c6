"""The table of VarGNet's published and counted figures in docs/networks.md: `python benchmarks/networks_table.py`."""

from tfeff.networks import index


def main():
    columns = ["network", "parameters", "published MAdds", "counted MAdds", "difference", "published size"]
    print(f"| {' | '.join(columns)} | counted values against it |")
    print("|---|---|---|---|---|---|---|")
    for name, entry in index().items():
        published, counted = entry["published"], entry["counted"]
        if entry["family"] == "vargnet" and published:
            madds, values = (counted[key] / published[key] - 1 for key in ("madds", "values"))
            print(
                f"| `{name}` | {counted['parameters']:,} | {published['madds'] >> 20} x 2^20 | {counted['madds']:,} | "
                f"{madds:+.2%} | {published['values'] / 2**20:.2f} x 2^20 | {values:+.2%} |"
            )


if __name__ == "__main__":
    main()
