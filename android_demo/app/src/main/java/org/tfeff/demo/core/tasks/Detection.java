package org.tfeff.demo.core.tasks;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Values;

/** Boxes from a detector's raw maps, by the numbers in the record; see `tfeff/tasks/detection.py`. */
final class Detection extends Task {
    private static final int DRAWN = 10;
    private static final double ALIKE = 0.9; // IoU from which on two boxes are the same
    private static final int[] COLOURS = {0xffe6194b, 0xff3cb44b, 0xffffe119, 0xff0082c8, 0xfff58230, 0xff911eb4,
        0xff46f0f0, 0xfff032e6, 0xffd2f53c, 0xfffabed4};

    @Override
    String name() {
        return "detection";
    }

    @Override
    void check(TaskSpec spec, List<Port> ports) throws DemoException {
        DetectionSpec how = new DetectionSpec(spec.decode);
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
            return new Boxes(new DetectionDecode(new DetectionSpec(spec.decode), outputs).found(), spec.labels);
        } catch (DemoException error) { // `check` has seen it
            throw new IllegalStateException(error.getMessage());
        }
    }

    /** What was found, the surest first. */
    static final class Boxes extends Answer {
        final List<Box> boxes;
        private final List<String> labels;

        Boxes(List<Box> boxes, List<String> labels) {
            this.boxes = boxes;
            this.labels = labels;
        }

        @Override
        public List<Frame> frames(double least) {
            List<Frame> out = new ArrayList<Frame>();
            Map<String, Integer> met = new HashMap<String, Integer>();
            for (Box one : boxes) {
                if (one.seen(least)) {
                    String name = labels.isEmpty() ? "class " + one.number : labels.get(one.number);
                    int times = met.containsKey(name) ? met.get(name) + 1 : 1;
                    met.put(name, times);
                    out.add(new Frame(one.sides, times == 1 ? name : name + " (" + times + ")", one.score,
                            COLOURS[one.number % COLOURS.length]));
                }
            }
            return out;
        }

        @Override
        public List<Line> lines(double least) {
            List<Line> out = new ArrayList<Line>();
            for (Frame one : frames(least)) {
                if (out.size() < DRAWN) {
                    out.add(new Line(one.name, one.score));
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
                boolean there = !one.seen(SEEN);
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
