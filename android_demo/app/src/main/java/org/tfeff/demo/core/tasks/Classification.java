package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Keys;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/** Which class, whether (one value against a threshold), or which labels; see `tfeff/tasks/classification.py`. */
final class Classification extends Task {
    private static final int DRAWN = 5;

    @Override
    String name() {
        return "classification";
    }

    @Override
    void check(TaskSpec spec, List<Port> ports) throws DemoException {
        String kind = spec.word("kind", "classes", "classes", "binary", "multi-label");
        spec.word("scores", "logits", "logits", "probabilities");
        if (spec.decode.get("threshold") != null) {
            Keys.number(spec.decode, "threshold", "task.decode");
        }
        if (ports.size() != 1) {
            throw new DemoException("task classification: reads one output, not " + ports.size());
        }
        Port port = ports.get(0);
        int count = port.elements();
        if (count != (port.shape.length > 1 ? port.shape[port.shape.length - 1] : count)) {
            throw new DemoException("task classification: one list of scores (1, classes), not " + port);
        }
        boolean binary = kind.equals("binary");
        if (binary != (count == 1) && !kind.equals("multi-label")) {
            throw new DemoException("task classification: " + count + " values are not of kind " + kind);
        }
        if (!spec.labels.isEmpty() && spec.labels.size() != (binary ? 2 : count)) {
            throw new DemoException("the output " + port.name + " gives " + count + " values, the record has "
                    + spec.labels.size() + " labels");
        }
    }

    @Override
    Answer decode(Map<String, Values> outputs, TaskSpec spec) {
        double[] values = outputs.get(spec.outputs.get(0)).data;
        Object kind = spec.decode.get("kind");
        boolean[] chosen = new boolean[values.length];
        if (kind == null || kind.equals("classes")) {
            chosen[largest(values)] = true;
            return new Classes(chosen, isShares(values, spec) ? values.clone() : softmax(values), spec.labels);
        }
        Object threshold = spec.decode.get("threshold");
        double limit = threshold == null ? 0.5 : (Double) threshold;
        double[] scores = values.clone();
        for (int i = 0; i < scores.length; i++) {
            if (!"probabilities".equals(spec.decode.get("scores"))) {
                scores[i] = 1 / (1 + Math.exp(-values[i]));
            }
            chosen[i] = scores[i] > limit;
        }
        return new Classes(chosen, scores, spec.labels);
    }

    /** Old records do not say which: shares of 1 are not below 0 and add up to it, but for the rounding of int8. */
    private static boolean isShares(double[] values, TaskSpec spec) {
        Object said = spec.decode.get("scores");
        if (said != null) {
            return said.equals("probabilities");
        }
        double sum = 0;
        for (double one : values) {
            if (one < 0) {
                return false;
            }
            sum += one;
        }
        return Math.abs(sum - 1) < 0.02;
    }

    private static int largest(double[] values) {
        int best = 0;
        for (int i = 1; i < values.length; i++) {
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }

    private static double[] softmax(double[] logits) {
        double[] out = new double[logits.length];
        double top = logits[largest(logits)];
        double total = 0;
        for (int i = 0; i < out.length; i++) {
            out[i] = Math.exp(logits[i] - top);
            total += out[i];
        }
        for (int i = 0; i < out.length; i++) {
            out[i] /= total;
        }
        return out;
    }

    /** The one class, or each label that holds, and the probabilities of all. */
    static final class Classes extends Answer {
        final boolean[] chosen;
        final double[] scores;
        private final List<String> labels;

        Classes(boolean[] chosen, double[] scores, List<String> labels) {
            this.chosen = chosen;
            this.scores = scores;
            this.labels = labels;
        }

        @Override
        public List<Line> lines(double least) {
            List<Line> out = new ArrayList<Line>();
            if (scores.length == 1) {
                String name = labels.isEmpty() ? chosen[0] ? "yes" : "no" : labels.get(chosen[0] ? 1 : 0);
                out.add(new Line(name, chosen[0] ? scores[0] : 1 - scores[0]));
                return out;
            }
            boolean[] taken = new boolean[scores.length];
            while (out.size() < Math.min(DRAWN, scores.length)) {
                int best = -1; // of equal ones the lower number
                for (int i = 0; i < scores.length; i++) {
                    best = !taken[i] && (best < 0 || scores[i] > scores[best]) ? i : best;
                }
                taken[best] = true;
                out.add(new Line(labels.isEmpty() ? "class " + best : labels.get(best), scores[best]));
            }
            return out;
        }

        @Override
        public boolean sameAs(Answer other) {
            return other instanceof Classes && Arrays.equals(chosen, ((Classes) other).chosen);
        }
    }
}
