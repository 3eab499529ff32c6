package org.tfeff.demo.core.tasks;

/** A part of an answer that has a place: a box with a name, as `Frame` of `tfeff/tasks/base.py`. */
public final class Frame {
    public final double[] sides; // x1 y1 x2 y2 in pixels of what it is of, the network's input or the picture
    public final String name; // of its class; a class's second is "name (2)"
    public final double score;
    public final int colour; // 0xAARRGGBB, the same for the same class

    public Frame(double[] sides, String name, double score, int colour) {
        this.sides = sides;
        this.name = name;
        this.score = score;
        this.colour = colour;
    }
}
