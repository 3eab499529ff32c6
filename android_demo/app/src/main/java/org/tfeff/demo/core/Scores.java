package org.tfeff.demo.core;

import java.util.ArrayList;
import java.util.List;

/** From a classifier's numbers to the classes that a person reads. */
public final class Scores {
    private Scores() {}

    /** One class: its number, its share of 1, and the network's own number for it. */
    public static final class Entry {
        public final int index;
        public final float score;
        public final float logit;

        Entry(int index, float score, float logit) {
            this.index = index;
            this.score = score;
            this.logit = logit;
        }
    }

    /** Shares of 1 by exp; numbers that already are shares (none below 0, sum 1) pass unchanged. */
    public static float[] softmax(float[] logits) {
        double sum = 0;
        float top = Float.NEGATIVE_INFINITY;
        boolean shares = true;
        for (float one : logits) {
            sum += one;
            top = Math.max(top, one);
            shares &= one >= 0;
        }
        if (shares && Math.abs(sum - 1) < 0.02) { // quantized shares add up to 1 but for their rounding
            return logits.clone();
        }
        double[] parts = new double[logits.length];
        double total = 0;
        for (int i = 0; i < logits.length; i++) {
            parts[i] = Math.exp((double) logits[i] - top);
            total += parts[i];
        }
        float[] out = new float[logits.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = (float) (parts[i] / total);
        }
        return out;
    }

    /** The `k` largest, best first; of equal ones the lower class number first. */
    public static List<Entry> top(float[] logits, int k) {
        float[] shares = softmax(logits);
        boolean[] taken = new boolean[logits.length];
        List<Entry> out = new ArrayList<Entry>();
        while (out.size() < Math.min(k, logits.length)) {
            int best = -1;
            for (int i = 0; i < logits.length; i++) {
                if (!taken[i] && (best < 0 || logits[i] > logits[best])) {
                    best = i;
                }
            }
            taken[best] = true;
            out.add(new Entry(best, shares[best], logits[best]));
        }
        return out;
    }
}
