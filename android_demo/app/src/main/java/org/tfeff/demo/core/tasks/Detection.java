package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Keys;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/**
 * Boxes from a detector's raw maps, by the numbers in the record; see `tfeff/tasks/detection.py`, `detection_decode.py`
 * and `detection_spec.py`.
 */
final class Detection extends Task {
    private static final double SHOWN = 0.3; // a score from which on people see a box
    private static final int DRAWN = 10;
    private static final double ALIKE = 0.9; // IoU from which on two boxes are the same
    private static final double BELOW_ALIGNED = 1e-9; // what PicoDet v2 adds under the root

    @Override
    String name() {
        return "detection";
    }

    @Override
    void check(TaskSpec spec, List<Port> ports) throws DemoException {
        How how = new How(spec.decode);
        if (!spec.outputs.equals(how.outputs())) {
            throw new DemoException("task detection: reads " + spec.outputs + ", its numbers are of " + how.outputs());
        }
        if (!spec.labels.isEmpty() && spec.labels.size() != how.classes) {
            throw new DemoException("task detection: " + spec.labels.size() + " labels for " + how.classes + " classes");
        }
        for (Port port : ports) {
            long wanted = how.elements(port.name);
            if (port.elements() != wanted) {
                throw new DemoException("task detection: output " + port + ", its numbers are of " + wanted + " values");
            }
        }
    }

    @Override
    Answer decode(Map<String, Values> outputs, TaskSpec spec) {
        try {
            return new Boxes(new How(spec.decode).found(outputs), spec.labels);
        } catch (DemoException error) { // `check` has seen it
            throw new IllegalStateException(error.getMessage());
        }
    }

    /** A box x1 y1 x2 y2 in pixels of the network's input. */
    static final class Box {
        final double[] sides;
        final int number; // of its class
        final double score;

        Box(double[] sides, int number, double score) {
            this.sides = sides;
            this.number = number;
            this.score = score;
        }

        /** Intersection over union; 0 where both are empty. */
        double overlap(Box other) {
            double wide = Math.min(sides[2], other.sides[2]) - Math.max(sides[0], other.sides[0]);
            double high = Math.min(sides[3], other.sides[3]) - Math.max(sides[1], other.sides[1]);
            double shared = Math.max(wide, 0) * Math.max(high, 0);
            double union = area() + other.area() - shared;
            return union > 0 ? shared / union : 0;
        }

        private double area() {
            return (sides[2] - sides[0]) * (sides[3] - sides[1]);
        }
    }

    /** The surest first; sorting keeps the order of equals. */
    private static final Comparator<Box> BY_SCORE = new Comparator<Box>() {
        @Override
        public int compare(Box one, Box other) {
            return Double.compare(other.score, one.score);
        }
    };

    /** One map. */
    private static final class Level {
        final int rows;
        final int columns;
        final double[] step; // y, x
        final double[][] anchors; // width, height of each; none where boxes are distances
        final String boxes;
        final String scores;
        final String alignment;
        final String firstBoxes;
        final String firstScores;

        Level(Map<?, ?> value, How how) throws DemoException {
            String where = "task.decode.levels";
            rows = (int) Keys.number(value, "rows", where);
            columns = (int) Keys.number(value, "columns", where);
            step = numbers(value.get("step"), 2, where + ".step");
            boxes = Keys.string(value, "boxes", where);
            scores = Keys.string(value, "scores", where);
            alignment = how.score.equals("aligned") ? Keys.string(value, "alignment", where) : null;
            boolean refined = how.kind.equals("refined");
            firstBoxes = refined ? Keys.string(value, "first_boxes", where) : null;
            firstScores = refined ? Keys.string(value, "first_scores", where) : null;
            List<?> sizes = how.kind.equals("distances") ? Collections.emptyList() : Keys.list(value, "anchors", where);
            anchors = new double[sizes.size()][];
            for (int i = 0; i < anchors.length; i++) {
                anchors[i] = numbers(sizes.get(i), 2, where + ".anchors");
            }
            if (rows < 1 || columns < 1 || (sizes.isEmpty() != how.kind.equals("distances"))) {
                throw new DemoException(where + ": a map of " + rows + " x " + columns + " with " + sizes.size() + " anchors");
            }
        }

        int perPlace() {
            return Math.max(1, anchors.length);
        }
    }

    private static double[] numbers(Object value, int count, String where) throws DemoException {
        if (!(value instanceof List) || ((List<?>) value).size() != count) {
            throw new DemoException(where + ": " + count + " numbers expected");
        }
        double[] out = new double[count];
        for (int i = 0; i < count; i++) {
            Object one = ((List<?>) value).get(i);
            if (!(one instanceof Double)) {
                throw new DemoException(where + ": " + one + " is no number");
            }
            out[i] = (Double) one;
        }
        return out;
    }

    /** The record's `decode`. */
    private static final class How {
        final String kind;
        final String score;
        final int classes;
        final int bins;
        final double[] size; // h, w
        final double[] variances;
        final double maxLogSize;
        final double objectness;
        final boolean clip;
        final double scoreThreshold;
        final double iouThreshold;
        final int perClass;
        final int keep;
        final List<Level> levels = new ArrayList<Level>();

        How(Map<?, ?> value) throws DemoException {
            String where = "task.decode";
            kind = Keys.oneOf(value, "kind", where, "distances", "anchors", "refined");
            score = Keys.oneOf(value, "score", where, "sigmoid", "softmax", "aligned");
            classes = (int) Keys.number(value, "classes", where);
            bins = kind.equals("distances") ? (int) Keys.number(value, "bins", where) : 1;
            size = numbers(value.get("size"), 2, where + ".size");
            variances = kind.equals("distances") ? null : numbers(value.get("variances"), 4, where + ".variances");
            maxLogSize = value.get("max_log_size") == null ? Double.POSITIVE_INFINITY
                    : Keys.number(value, "max_log_size", where);
            objectness = kind.equals("refined") ? Keys.number(value, "objectness", where) : 0;
            clip = Boolean.TRUE.equals(value.get("clip"));
            scoreThreshold = Keys.number(value, "score_threshold", where);
            iouThreshold = Keys.number(value, "iou_threshold", where);
            perClass = (int) Keys.number(value, "per_class", where);
            keep = (int) Keys.number(value, "keep", where);
            if (classes < 1 || bins < 1 || perClass < 1 || keep < 1) {
                throw new DemoException(where + ": classes, bins, per_class and keep must be at least 1");
            }
            for (Object one : Keys.list(value, "levels", where)) {
                levels.add(new Level(Keys.object(one, where + ".levels"), this));
            }
        }

        int channels() {
            return classes + (score.equals("softmax") ? 1 : 0);
        }

        List<String> outputs() {
            List<String> out = new ArrayList<String>();
            for (Level level : levels) {
                for (String one : new String[] {level.boxes, level.scores, level.alignment, level.firstBoxes,
                    level.firstScores}) {
                    if (one != null) {
                        out.add(one);
                    }
                }
            }
            return out;
        }

        /** How many values an output must have. */
        long elements(String name) {
            for (Level level : levels) {
                long places = (long) level.rows * level.columns * level.perPlace();
                if (name.equals(level.boxes)) {
                    return places * 4 * bins;
                }
                if (name.equals(level.scores)) {
                    return places * channels();
                }
                if (name.equals(level.alignment)) {
                    return places;
                }
                if (name.equals(level.firstBoxes) || name.equals(level.firstScores)) {
                    return places * (name.equals(level.firstBoxes) ? 4 : 2);
                }
            }
            return -1;
        }

        /** What stays after suppression, the surest first. */
        List<Box> found(Map<String, Values> outputs) {
            Map<Integer, List<Candidate>> byClass = new TreeMap<Integer, List<Candidate>>();
            for (Level level : levels) {
                scored(outputs, level, byClass);
            }
            List<Box> out = new ArrayList<Box>();
            for (Map.Entry<Integer, List<Candidate>> one : byClass.entrySet()) {
                List<Candidate> best = one.getValue();
                Collections.sort(best);
                List<Box> kept = new ArrayList<Box>();
                for (Candidate candidate : best.subList(0, Math.min(perClass, best.size()))) {
                    double[] sides = sides(outputs, candidate.level, candidate.place);
                    Box box = new Box(sides, one.getKey(), candidate.score);
                    boolean free = true;
                    for (int i = 0; i < kept.size() && free; i++) {
                        free = !(kept.get(i).overlap(box) > iouThreshold);
                    }
                    if (free) {
                        kept.add(box);
                    }
                }
                out.addAll(kept);
            }
            Collections.sort(out, BY_SCORE);
            return new ArrayList<Box>(out.subList(0, Math.min(keep, out.size())));
        }

        private void scored(Map<String, Values> outputs, Level level, Map<Integer, List<Candidate>> byClass) {
            double[] data = outputs.get(level.scores).data;
            int channels = channels();
            if (score.equals("softmax")) {
                double[] shares = new double[channels];
                for (int place = 0; place * channels < data.length; place++) {
                    if (level.firstScores != null) {
                        double[] first = outputs.get(level.firstScores).data;
                        if (sigmoid(first[2 * place + 1] - first[2 * place]) <= objectness) {
                            continue;
                        }
                    }
                    softmax(data, place * channels, shares);
                    for (int c = 1; c < channels; c++) {
                        add(byClass, level, place, c - 1, shares[c]);
                    }
                }
                return;
            }
            boolean aligned = level.alignment != null;
            double share = aligned ? scoreThreshold * scoreThreshold - BELOW_ALIGNED : scoreThreshold;
            double least = (share <= 0 ? Double.NEGATIVE_INFINITY : Math.log(share / (1 - share))) - 1e-6;
            for (int i = 0; i < data.length; i++) {
                if (data[i] > least) {
                    double one = sigmoid(data[i]);
                    if (aligned) {
                        one = Math.sqrt(one * sigmoid(outputs.get(level.alignment).data[i / channels]) + BELOW_ALIGNED);
                    }
                    add(byClass, level, i / channels, i % channels, one);
                }
            }
        }

        private void add(Map<Integer, List<Candidate>> byClass, Level level, int place, int number, double score) {
            if (score > scoreThreshold) {
                if (!byClass.containsKey(number)) {
                    byClass.put(number, new ArrayList<Candidate>());
                }
                byClass.get(number).add(new Candidate(level, place, score));
            }
        }

        /** x1 y1 x2 y2 of a place of a level, of an anchor where it has any. */
        private double[] sides(Map<String, Values> outputs, Level level, int place) {
            int cell = place / level.perPlace();
            double y = (cell / level.columns + 0.5) * level.step[0];
            double x = (cell % level.columns + 0.5) * level.step[1];
            double[] out = new double[4];
            if (kind.equals("distances")) {
                double[] data = outputs.get(level.boxes).data;
                double[] shares = new double[bins];
                for (int side = 0; side < 4; side++) {
                    softmax(data, (place * 4 + side) * bins, shares);
                    double steps = 0;
                    for (int k = 0; k < bins; k++) {
                        steps += k * shares[k];
                    }
                    steps *= level.step[1 - side % 2];
                    out[side] = (side % 2 == 0 ? x : y) + (side < 2 ? -steps : steps);
                }
            } else {
                double[] anchor = level.anchors[place % level.perPlace()];
                double w = anchor[0];
                double h = anchor[1];
                for (String name : new String[] {level.firstBoxes, level.boxes}) {
                    if (name == null) {
                        continue;
                    }
                    double[] data = outputs.get(name).data;
                    int at = place * 4;
                    x += data[at] * variances[0] * w;
                    y += data[at + 1] * variances[1] * h;
                    w *= Math.exp(Math.min(data[at + 2] * variances[2], maxLogSize));
                    h *= Math.exp(Math.min(data[at + 3] * variances[3], maxLogSize));
                }
                out = new double[] {x - w / 2, y - h / 2, x + w / 2, y + h / 2};
            }
            for (int i = 0; clip && i < 4; i++) {
                out[i] = Math.min(Math.max(out[i], 0), size[1 - i % 2]);
            }
            return out;
        }

        private static double sigmoid(double value) {
            return 1 / (1 + Math.exp(-value));
        }

        private static void softmax(double[] data, int from, double[] out) {
            double top = Double.NEGATIVE_INFINITY;
            double sum = 0;
            for (int i = 0; i < out.length; i++) {
                top = Math.max(top, data[from + i]);
            }
            for (int i = 0; i < out.length; i++) {
                out[i] = Math.exp(data[from + i] - top);
                sum += out[i];
            }
            for (int i = 0; i < out.length; i++) {
                out[i] /= sum;
            }
        }
    }

    /** A class's score at a place. */
    private static final class Candidate implements Comparable<Candidate> {
        final Level level;
        final int place;
        final double score;

        Candidate(Level level, int place, double score) {
            this.level = level;
            this.place = place;
            this.score = score;
        }

        @Override
        public int compareTo(Candidate other) {
            return Double.compare(other.score, score);
        }
    }

    /** What was found, the surest first. */
    static final class Boxes implements Answer {
        final List<Box> boxes;
        private final List<String> labels;

        Boxes(List<Box> boxes, List<String> labels) {
            this.boxes = boxes;
            this.labels = labels;
        }

        @Override
        public List<Line> lines() {
            List<Line> out = new ArrayList<Line>();
            Map<String, Integer> met = new HashMap<String, Integer>();
            for (Box one : boxes) {
                if (one.score >= SHOWN && out.size() < DRAWN) {
                    String name = labels.isEmpty() ? "class " + one.number : labels.get(one.number);
                    int times = met.containsKey(name) ? met.get(name) + 1 : 1;
                    met.put(name, times);
                    out.add(new Line(times == 1 ? name : name + " (" + times + ")", one.score));
                }
            }
            if (out.isEmpty()) {
                out.add(new Line("nothing found", Double.NaN));
            }
            return out;
        }

        /** Whether each box that people see has one of its class in the other answer that lies where it does. */
        @Override
        public boolean sameAs(Answer other) {
            return other instanceof Boxes && within((Boxes) other) && ((Boxes) other).within(this);
        }

        private boolean within(Boxes others) {
            for (Box one : boxes) {
                boolean there = one.score < SHOWN;
                for (int i = 0; i < others.boxes.size() && !there; i++) {
                    Box other = others.boxes.get(i);
                    there = one.number == other.number && one.overlap(other) >= ALIKE;
                }
                if (!there) {
                    return false;
                }
            }
            return true;
        }
    }
}
