"""The formulas of the papers, for one convolution or fully connected layer (1x1 on a map of one pixel).

ShuffleNet V2 (arXiv 1807.11164, section 2) writes its guidelines G1 and G2 for 1x1 convolutions at stride 1; VoVNet
(arXiv 1904.09730, section 2) writes the same of k x k ones. With a stride or without padding the two maps differ in
size; where they do not, `pixels_in` and `pixels_out` are both h * w and the formulas are the papers'.
"""

import math


def memory_access(pixels_in: int, pixels_out: int, channels_in: int, channels_out: int, weights: int) -> int:
    """MAC: values read of the input, written to the output and read of the kernel, each once (an ideal cache).

    The input counts as a whole, also where a stride skips pixels. `weights` are k^2 * c_in * c_out / groups.
    """
    return pixels_in * channels_in + pixels_out * channels_out + weights


def least_memory_access(madds: int, pixels_in: int, pixels_out: int, kernel_area: int, groups: int = 1) -> float:
    """The least MAC, in values, that a convolution of B multiply-adds can have on these maps.

    2 sqrt(h_in w_in B g / k^2) + B / (h w): G1 with one group, and G2's growth with g. Reached where input and output
    hold equally many values (c_in = c_out at stride 1).

    Args:
        madds: B.
        kernel_area: k_h * k_w.
        groups: g.
    """
    return 2 * math.sqrt(pixels_in * madds * groups / kernel_area) + madds / pixels_out


def madds_per_second(madds: int | float, latency_ms: float) -> float:
    """VoVNet's computation efficiency (section 2.2), a multiply-add counted as one FLOP, as its tables do."""
    return madds / (latency_ms / 1000)
