package org.tfeff.demo.core;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** Milliseconds of one step, as many as were measured; a window of the last ones for the screen. */
public final class Timings {
    private final double[] ring;
    private int count;

    /** @param window how many are kept; older ones are forgotten. */
    public Timings(int window) {
        ring = new double[window];
    }

    public void add(double ms) {
        ring[count++ % ring.length] = ms;
    }

    public int size() {
        return Math.min(count, ring.length);
    }

    /** The newest. */
    public double last() {
        return ring[(count - 1) % ring.length];
    }

    /** What is kept, oldest first. */
    public double[] values() {
        double[] out = new double[size()];
        for (int i = 0; i < out.length; i++) {
            out[i] = ring[(count - out.length + i) % ring.length];
        }
        return out;
    }

    public double median() {
        return percentile(50);
    }

    public double p90() {
        return percentile(90);
    }

    /** Linear between the neighbours, as numpy.percentile; NaN of nothing. */
    public double percentile(double percent) {
        double[] sorted = values();
        if (sorted.length == 0) {
            return Double.NaN;
        }
        Arrays.sort(sorted);
        double at = percent / 100 * (sorted.length - 1);
        int low = (int) at;
        int high = Math.min(low + 1, sorted.length - 1);
        return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
    }

    /** For JSON: median_ms, p90_ms, min_ms, max_ms, runs, all_ms. */
    public Map<String, Object> summary() {
        Map<String, Object> out = new LinkedHashMap<String, Object>();
        out.put("median_ms", median());
        out.put("p90_ms", p90());
        out.put("min_ms", percentile(0));
        out.put("max_ms", percentile(100));
        out.put("runs", size());
        out.put("all_ms", values());
        return out;
    }
}
