package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tfeff.demo.core.Values;

/** From a detector's maps to boxes, as `tfeff/tasks/detection_decode.py` does it. */
final class DetectionDecode {
    private static final double BELOW_ALIGNED = 1e-9; // what PicoDet v2 adds under the root
    private final DetectionSpec how;
    private final Map<String, Values> outputs;

    DetectionDecode(DetectionSpec how, Map<String, Values> outputs) {
        this.how = how;
        this.outputs = outputs;
    }

    /** What stays after suppression, the surest first. */
    List<Box> found() {
        if (how.listed != null) {
            return fromList();
        }
        Map<Integer, List<Candidate>> byClass = new TreeMap<Integer, List<Candidate>>();
        for (DetectionSpec.Level level : how.levels) {
            scored(level, byClass);
        }
        List<Box> out = new ArrayList<Box>();
        for (Map.Entry<Integer, List<Candidate>> one : byClass.entrySet()) {
            List<Candidate> best = one.getValue();
            Collections.sort(best);
            List<Box> kept = new ArrayList<Box>();
            for (Candidate candidate : best.subList(0, Math.min(how.perClass, best.size()))) {
                double[] sides = sides(candidate.level, candidate.place);
                Box box = new Box(sides, one.getKey(), candidate.score);
                boolean free = true;
                for (int i = 0; i < kept.size() && free; i++) {
                    free = !(kept.get(i).overlap(box) > how.iouThreshold);
                }
                if (free) {
                    kept.add(box);
                }
            }
            out.addAll(kept);
        }
        Collections.sort(out, Box.BY_SCORE);
        return new ArrayList<Box>(out.subList(0, Math.min(how.keep, out.size())));
    }

    /** The boxes of a file that ends in boxes: TFLite_Detection_PostProcess has decoded and suppressed them. */
    private List<Box> fromList() {
        double[] sides = outputs.get(how.listed[0]).data; // y1 x1 y2 x2 as shares of the image's sides
        double[] classes = outputs.get(how.listed[1]).data;
        double[] scores = outputs.get(how.listed[2]).data;
        int count = Math.min((int) outputs.get(how.listed[3]).data[0], scores.length);
        List<Box> out = new ArrayList<Box>();
        for (int i = 0; i < count; i++) {
            double[] box = new double[4];
            for (int side = 0; side < 4; side++) {
                double most = how.size[1 - side % 2];
                double value = sides[4 * i + (side % 2 == 0 ? side + 1 : side - 1)] * most;
                box[side] = how.clip ? Math.min(Math.max(value, 0), most) : value;
            }
            out.add(new Box(box, (int) Math.rint(classes[i]), scores[i]));
        }
        return out;
    }

    private void scored(DetectionSpec.Level level, Map<Integer, List<Candidate>> byClass) {
        double[] data = outputs.get(level.scores).data;
        int channels = how.channels();
        if (how.score.equals("softmax")) {
            double[] shares = new double[channels];
            for (int place = 0; place * channels < data.length; place++) {
                if (level.firstScores != null) {
                    double[] first = outputs.get(level.firstScores).data;
                    if (sigmoid(first[2 * place + 1] - first[2 * place]) <= how.objectness) {
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
        double share = aligned ? how.scoreThreshold * how.scoreThreshold - BELOW_ALIGNED : how.scoreThreshold;
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

    private void add(Map<Integer, List<Candidate>> byClass, DetectionSpec.Level level, int place, int number, double score) {
        if (score > how.scoreThreshold) {
            if (!byClass.containsKey(number)) {
                byClass.put(number, new ArrayList<Candidate>());
            }
            byClass.get(number).add(new Candidate(level, place, score));
        }
    }

    /** x1 y1 x2 y2 of a place of a level, of an anchor where it has any. */
    private double[] sides(DetectionSpec.Level level, int place) {
        int cell = place / level.perPlace();
        double y = (cell / level.columns + 0.5) * level.step[0];
        double x = (cell % level.columns + 0.5) * level.step[1];
        double[] out = new double[4];
        if (how.kind.equals("distances")) {
            double[] data = outputs.get(level.boxes).data;
            double[] shares = new double[how.bins];
            for (int side = 0; side < 4; side++) {
                softmax(data, (place * 4 + side) * how.bins, shares);
                double steps = 0;
                for (int k = 0; k < how.bins; k++) {
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
                x += data[at] * how.variances[0] * w;
                y += data[at + 1] * how.variances[1] * h;
                w *= Math.exp(Math.min(data[at + 2] * how.variances[2], how.maxLogSize));
                h *= Math.exp(Math.min(data[at + 3] * how.variances[3], how.maxLogSize));
            }
            out = new double[] {x - w / 2, y - h / 2, x + w / 2, y + h / 2};
        }
        for (int i = 0; how.clip && i < 4; i++) {
            out[i] = Math.min(Math.max(out[i], 0), how.size[1 - i % 2]);
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

    /** A class's score at a place. */
    private static final class Candidate implements Comparable<Candidate> {
        final DetectionSpec.Level level;
        final int place;
        final double score;

        Candidate(DetectionSpec.Level level, int place, double score) {
            this.level = level;
            this.place = place;
            this.score = score;
        }

        @Override
        public int compareTo(Candidate other) {
            return Double.compare(other.score, score);
        }
    }
}
