package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Keys;

/** The record's `decode`: by which numbers a detector's maps become boxes; see `tfeff/tasks/detection_spec.py`. */
final class DetectionSpec {
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
    final String[] listed; // of a file that ends in boxes the outputs boxes, classes, scores and count; else null

    DetectionSpec(Map<?, ?> value) throws DemoException {
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
        if (value.get("listed") == null) {
            listed = null;
        } else {
            where += ".listed";
            Map<?, ?> names = Keys.object(value.get("listed"), where);
            listed = new String[] {Keys.string(names, "boxes", where), Keys.string(names, "classes", where),
                Keys.string(names, "scores", where), Keys.string(names, "count", where)};
        }
    }

    int channels() {
        return classes + (score.equals("softmax") ? 1 : 0);
    }

    List<String> outputs() {
        if (listed != null) {
            return Arrays.asList(listed);
        }
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
        if (listed != null) {
            return name.equals(listed[0]) ? 4L * keep : name.equals(listed[3]) ? 1 : keep;
        }
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

    /** One map. */
    static final class Level {
        final int rows;
        final int columns;
        final double[] step; // y, x
        final double[][] anchors; // width, height of each; none where boxes are distances
        final String boxes;
        final String scores;
        final String alignment;
        final String firstBoxes;
        final String firstScores;

        Level(Map<?, ?> value, DetectionSpec how) throws DemoException {
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
}
