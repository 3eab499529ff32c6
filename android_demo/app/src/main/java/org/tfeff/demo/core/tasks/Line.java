package org.tfeff.demo.core.tasks;

import java.util.List;

/** A line of an answer. */
public final class Line {
    public final String text;
    public final double score; // in 0 .. 1; NaN where the line has none

    /** What stands above the lines of a task where there are several. */
    public static Line heading(List<String> outputs) {
        StringBuilder text = new StringBuilder();
        for (String one : outputs) {
            text.append(text.length() == 0 ? "" : ", ").append(one);
        }
        return new Line(text.append(":").toString(), Double.NaN);
    }

    Line(String text, double score) {
        this.text = text;
        this.score = score;
    }

    public boolean hasScore() {
        return !Double.isNaN(score);
    }
}
