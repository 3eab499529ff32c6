package org.tfeff.demo.core;

/**
 * Bilinear resizing that averages when it shrinks, in fixed point: the same bytes as Pillow's
 * `resize(..., BILINEAR)` on 8-bit images. One axis, then the other, each rounded to 8 bits.
 */
public final class Resize {
    private static final int PRECISION_BITS = 22; // 8-bit values, weights that add up to 1, two bits to spare in an int

    private Resize() {}

    /**
     * Resizes to `height` x `width`. A side that keeps its length is not touched.
     *
     * @param tallFirst as Pillow 13 has it: the height goes first where it loses more than twice what the width does;
     *     before, the width always went first. The roundings differ by 1 here and there.
     */
    public static Picture bilinear(Picture from, int height, int width, boolean tallFirst) {
        int lost = from.height - height;
        if (tallFirst && lost > 0 && lost > 2 * (from.width - width)) {
            return toWidth(toHeight(from, height), width);
        }
        return toHeight(toWidth(from, width), height);
    }

    private static Picture toWidth(Picture from, int width) {
        return width == from.width ? from
                : new Picture(from.height, width, columns(from.rgb, from.height, new Weights(from.width, width)));
    }

    private static Picture toHeight(Picture from, int height) {
        return height == from.height ? from
                : new Picture(height, from.width, rows(from.rgb, from.width, new Weights(from.height, height)));
    }

    private static byte[] columns(byte[] in, int height, Weights weights) {
        byte[] out = new byte[height * weights.outputs * 3];
        for (int y = 0; y < height; y++) {
            int row = y * weights.inputs * 3;
            for (int x = 0, to = y * weights.outputs * 3; x < weights.outputs; x++) {
                int red = 1 << (PRECISION_BITS - 1);
                int green = red;
                int blue = red;
                int at = row + weights.first[x] * 3;
                for (int weight : weights.values[x]) {
                    red += (in[at++] & 255) * weight;
                    green += (in[at++] & 255) * weight;
                    blue += (in[at++] & 255) * weight;
                }
                out[to++] = clip(red);
                out[to++] = clip(green);
                out[to++] = clip(blue);
            }
        }
        return out;
    }

    private static byte[] rows(byte[] in, int width, Weights weights) {
        int stride = width * 3;
        byte[] out = new byte[weights.outputs * stride];
        int[] sums = new int[stride];
        for (int y = 0; y < weights.outputs; y++) {
            java.util.Arrays.fill(sums, 1 << (PRECISION_BITS - 1));
            int at = weights.first[y] * stride;
            for (int weight : weights.values[y]) {
                for (int i = 0; i < stride; i++) {
                    sums[i] += (in[at++] & 255) * weight;
                }
            }
            for (int i = 0; i < stride; i++) {
                out[y * stride + i] = clip(sums[i]);
            }
        }
        return out;
    }

    private static byte clip(int sum) {
        return (byte) Math.max(0, Math.min(255, sum >> PRECISION_BITS));
    }

    /** Which inputs each output of one line is made of, and their shares in 2^-22. */
    private static final class Weights {
        final int inputs;
        final int outputs;
        final int[] first;
        final int[][] values;

        Weights(int inputs, int outputs) {
            this.inputs = inputs;
            this.outputs = outputs;
            first = new int[outputs];
            values = new int[outputs][];
            double scale = (double) inputs / outputs;
            double reach = Math.max(scale, 1.0); // the triangle is stretched when the image shrinks, never narrowed
            double inverse = 1.0 / reach;
            for (int x = 0; x < outputs; x++) {
                double centre = (x + 0.5) * scale;
                int low = Math.max(0, (int) (centre - reach + 0.5));
                int count = Math.min(inputs, (int) (centre + reach + 0.5)) - low;
                double[] shares = new double[count];
                double sum = 0;
                for (int i = 0; i < count; i++) {
                    double distance = Math.abs((i + low - centre + 0.5) * inverse);
                    shares[i] = distance < 1 ? 1 - distance : 0;
                    sum += shares[i];
                }
                first[x] = low;
                values[x] = new int[count];
                for (int i = 0; i < count; i++) {
                    double share = sum != 0 ? shares[i] / sum : shares[i];
                    values[x][i] = (int) (0.5 + share * (1 << PRECISION_BITS));
                }
            }
        }
    }
}
