package org.tfeff.demo.core;

import java.util.List;
import java.util.Map;

/**
 * How an image of any size becomes the network's pixels and numbers, as the record's `preprocessing` says; the Java
 * twin of `tfeff/data/preprocessing.py`, equal to it byte for byte.
 */
public final class Preprocessing {
    public final int height;
    public final int width;
    public final String resize; // "exact" or "cover"
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
        resize = Keys.oneOf(size, "mode", where, "exact", "cover");
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

    /** Resizes (`tallFirst`: see Resize), cuts out the centre, orders the colours: -> height x width x channels bytes. */
    public byte[] pixels(Picture picture, boolean tallFirst) {
        int toHeight = resizeHeight;
        int toWidth = resizeWidth;
        if (resize.equals("cover")) {
            double scale = Math.max((double) toHeight / picture.height, (double) toWidth / picture.width);
            toHeight = Math.max(toHeight, (int) (picture.height * scale + 0.5));
            toWidth = Math.max(toWidth, (int) (picture.width * scale + 0.5));
        }
        Picture cut = Resize.bilinear(picture, toHeight, toWidth, tallFirst)
                .cut((toHeight - height) / 2, (toWidth - width) / 2, height, width);
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
