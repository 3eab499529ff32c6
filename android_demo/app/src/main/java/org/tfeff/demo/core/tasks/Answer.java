package org.tfeff.demo.core.tasks;

import java.util.Collections;
import java.util.List;

/** What a model's outputs say, by their task. */
public abstract class Answer {
    /** A score from which on people see a part of an answer that has a place. */
    public static final double SEEN = 0.3;

    /** For people, the best first; parts with a place that score `least` or more. */
    public abstract List<Line> lines(double least);

    /** Whether another answer of the same task says the same; numbers always do, for they differ by degrees. */
    public abstract boolean sameAs(Answer other);

    public final List<Line> lines() {
        return lines(SEEN);
    }

    /** What has a place in the network's input and scores `least` or more, the surest first; none for most tasks. */
    public List<Frame> frames(double least) {
        return Collections.emptyList();
    }
}
