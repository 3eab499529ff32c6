package org.tfeff.demo.core.tasks;

import java.util.List;

/** What a model's outputs say, by their task. */
public interface Answer {
    /** For people, the best first. */
    List<Line> lines();

    /** Whether another answer of the same task says the same; numbers always do, for they differ by degrees. */
    boolean sameAs(Answer other);
}
