package org.tfeff.demo.core;

import java.util.List;
import java.util.Map;

/**
 * How an image of any size becomes the network's pixels and numbers, as the record's `preprocessing` says; the Java
 * twin of `tfeff/data/preprocessing.py`, equal to it byte for byte.
 */
public final class Preprocessing {
    private static final int FILL = 114;
    public final int height;
    public final int width;
    public final String resize; // "exact", "cover" or "fit"
    public final int fill; // pixel value around the picture after "fit"
    public final int resizeHeight;
    public final int resizeWidth;
    public final String colour; // "rgb", "bgr" or "gray"
    public final int channels;
    public final float[] mean;
    public final float[] std;

    /** Reads the record's form; throws DemoException naming the key that is missing or not understood. */
    public Preprocessing(Map<?, ?> value) throws DemoException {
        Map<?, ?> size = Keys.map(value, "resize", "preprocessing");
        Map<?, ?> crop = Keys.map(value, "crop", "preprocessing");
        String where = "preprocessing.resize";
        resize = Keys.oneOf(size, "mode", where, "exact", "cover", "fit");
        fill = size.get("fill") == null ? FILL : Keys.integer(size, "fill", where);
        if (fill < 0 || fill > 255) {
            throw new DemoException(where + ".fill: 0 to 255, not " + fill);
        }
        Keys.oneOf(size, "filter", where, "bilinear");
        resizeHeight = Keys.positive(size, "height", where);
        resizeWidth = Keys.positive(size, "width", where);
        where = "preprocessing.crop";
        Keys.oneOf(crop, "mode", where, "center");
        height = Keys.positive(crop, "height", where);
        width = Keys.positive(crop, "width", where);
        if (height > resizeHeight || width > resizeWidth) {
            throw new DemoException("preprocessing: cannot cut " + height + " x " + width + " out of an image resized to "
                    + resizeHeight + " x " + resizeWidth);
        }
        if (resize.equals("fit") && (height != resizeHeight || width != resizeWidth)) {
            throw new DemoException("preprocessing: 'fit' fills up to " + height + " x " + width + ", so it resizes to "
                    + "that, not to " + resizeHeight + " x " + resizeWidth);
        }
        colour = Keys.oneOf(value, "colour", "preprocessing", "rgb", "bgr", "gray");
        channels = colour.equals("gray") ? 1 : 3;
        mean = perChannel(value, "mean");
        std = perChannel(value, "std");
        for (float one : std) {
            if (!(one > 0)) {
                throw new DemoException("preprocessing.std: every value must be above 0, not " + one);
            }
        }
    }

    private float[] perChannel(Map<?, ?> value, String key) throws DemoException {
        List<?> list = Keys.list(value, key, "preprocessing");
        if (list.size() != channels) {
            throw new DemoException("preprocessing." + key + ": has " + list.size() + " values, colour '" + colour
                    + "' needs " + channels);
        }
        float[] out = new float[channels];
        for (int i = 0; i < channels; i++) {
            Object one = list.get(i);
            if (!(one instanceof Double) || ((Double) one).isNaN() || ((Double) one).isInfinite()) {
                throw new DemoException("preprocessing." + key + ": " + one + " is not a finite number");
            }
            out[i] = ((Double) one).floatValue();
        }
        return out;
    }

    /** What a picture of this size is resized to: height, width. */
    private int[] resizedTo(int fromHeight, int fromWidth) {
        double down = (double) resizeHeight / fromHeight;
        double across = (double) resizeWidth / fromWidth;
        if (resize.equals("cover")) {
            double scale = Math.max(down, across);
            return new int[] {Math.max(resizeHeight, (int) (fromHeight * scale + 0.5)),
                Math.max(resizeWidth, (int) (fromWidth * scale + 0.5))};
        }
        if (resize.equals("fit")) {
            double scale = Math.min(down, across);
            return new int[] {Math.max(1, Math.min(resizeHeight, (int) (fromHeight * scale + 0.5))),
                Math.max(1, Math.min(resizeWidth, (int) (fromWidth * scale + 0.5)))};
        }
        return new int[] {resizeHeight, resizeWidth};
    }

    /** From boxes x1 y1 x2 y2 in pixels of the input to pixels of a picture of this size, cut off at its border. */
    public double[] boxBack(double[] box, int fromHeight, int fromWidth) {
        int[] to = resizedTo(fromHeight, fromWidth);
        double[] out = new double[4];
        for (int i = 0; i < 4; i++) {
            boolean down = i % 2 == 1;
            int from = down ? fromHeight : fromWidth;
            double scale = (double) (down ? to[0] : to[1]) / from;
            double offset = ((down ? height - to[0] : width - to[1])) / 2; // both signs are rounded towards 0
            out[i] = Math.min(Math.max((box[i] - offset) / scale, 0), from);
        }
        return out;
    }

    /**
     * Resizes (`tallFirst`: see Resize), cuts out the centre or fills up around the picture, orders the colours: ->
     * height x width x channels bytes.
     */
    public byte[] pixels(Picture picture, boolean tallFirst) {
        int[] size = resizedTo(picture.height, picture.width);
        Picture resized = Resize.bilinear(picture, size[0], size[1], tallFirst);
        Picture cut = resize.equals("fit")
                ? resized.filledUp((height - size[0]) / 2, (width - size[1]) / 2, height, width, (byte) fill)
                : resized.cut((size[0] - height) / 2, (size[1] - width) / 2, height, width);
        if (colour.equals("rgb")) {
            return cut.rgb;
        }
        byte[] out = new byte[height * width * channels];
        for (int from = 0, to = 0; from < cut.rgb.length; from += 3) {
            int red = cut.rgb[from] & 255;
            int green = cut.rgb[from + 1] & 255;
            int blue = cut.rgb[from + 2] & 255;
            if (channels == 1) { // ITU-R 601 in 16 bits, as Pillow's convert("L")
                out[to++] = (byte) ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
            } else {
                out[to++] = (byte) blue;
                out[to++] = (byte) green;
                out[to++] = (byte) red;
            }
        }
        return out;
    }

    /** (pixel - mean) / std in float32, per channel. */
    public float[] normalize(byte[] pixels) {
        float[] out = new float[pixels.length];
        for (int i = 0; i < pixels.length; i++) {
            int channel = i % channels;
            out[i] = ((pixels[i] & 255) - mean[channel]) / std[channel];
        }
        return out;
    }
}
