package org.tfeff.demo.core.tasks;

import java.util.Comparator;

/** A box x1 y1 x2 y2 in pixels of the network's input. */
final class Box {
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

    /** Whether people can see it at all: a network may give anything. */
    boolean seen(double least) {
        boolean out = score >= least;
        for (double side : sides) {
            out &= !Double.isNaN(side) && !Double.isInfinite(side);
        }
        return out;
    }

    private double area() {
        return (sides[2] - sides[0]) * (sides[3] - sides[1]);
    }

    /** The surest first; sorting keeps the order of equals. */
    static final Comparator<Box> BY_SCORE = new Comparator<Box>() {
        @Override
        public int compare(Box one, Box other) {
            return Double.compare(other.score, one.score);
        }
    };
}
