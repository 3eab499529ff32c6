package org.tfeff.demo.core;

import java.util.Arrays;

/** An 8-bit RGB image: `rgb` holds height x width x 3 bytes, row by row. */
public final class Picture {
    public final int height;
    public final int width;
    public final byte[] rgb;

    public Picture(int height, int width, byte[] rgb) {
        if (height < 1 || width < 1 || rgb.length != (long) height * width * 3) {
            throw new IllegalArgumentException(height + " x " + width + " and " + rgb.length + " bytes");
        }
        this.height = height;
        this.width = width;
        this.rgb = rgb;
    }

    /** From Android's 0xAARRGGBB words, `height` rows of `width`. Alpha is dropped. */
    public static Picture ofArgb(int height, int width, int[] argb) {
        byte[] rgb = new byte[height * width * 3];
        for (int i = 0, to = 0; i < height * width; i++) {
            rgb[to++] = (byte) (argb[i] >> 16);
            rgb[to++] = (byte) (argb[i] >> 8);
            rgb[to++] = (byte) argb[i];
        }
        return new Picture(height, width, rgb);
    }

    /** Turned clockwise by 0, 90, 180 or 270 degrees. */
    public Picture turned(int degrees) {
        int turns = ((degrees / 90) % 4 + 4) % 4;
        Picture picture = this;
        for (int i = 0; i < turns; i++) {
            picture = picture.quarter();
        }
        return picture;
    }

    private Picture quarter() {
        byte[] out = new byte[rgb.length];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                System.arraycopy(rgb, (y * width + x) * 3, out, (x * height + height - 1 - y) * 3, 3);
            }
        }
        return new Picture(width, height, out);
    }

    /** Left and right swapped. */
    public Picture mirrored() {
        byte[] out = new byte[rgb.length];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                System.arraycopy(rgb, (y * width + x) * 3, out, (y * width + width - 1 - x) * 3, 3);
            }
        }
        return new Picture(height, width, out);
    }

    /** Upright, by the EXIF orientation 1 to 8; any other number leaves the picture as it is. */
    public Picture upright(int orientation) {
        switch (orientation) {
            case 2:
                return mirrored();
            case 3:
                return turned(180);
            case 4:
                return turned(180).mirrored();
            case 5:
                return turned(90).mirrored();
            case 6:
                return turned(90);
            case 7:
                return turned(270).mirrored();
            case 8:
                return turned(270);
            default:
                return this;
        }
    }

    /** Laid at (`top`, `left`) into a picture of `toHeight` x `toWidth` whose bytes are `fill`. */
    public Picture filledUp(int top, int left, int toHeight, int toWidth, byte fill) {
        byte[] out = new byte[toHeight * toWidth * 3];
        Arrays.fill(out, fill);
        for (int y = 0; y < height; y++) {
            System.arraycopy(rgb, y * width * 3, out, ((top + y) * toWidth + left) * 3, width * 3);
        }
        return new Picture(toHeight, toWidth, out);
    }

    /** The part of `toHeight` x `toWidth` whose upper left corner is (`top`, `left`). */
    public Picture cut(int top, int left, int toHeight, int toWidth) {
        byte[] out = new byte[toHeight * toWidth * 3];
        for (int y = 0; y < toHeight; y++) {
            System.arraycopy(rgb, ((top + y) * width + left) * 3, out, y * toWidth * 3, toWidth * 3);
        }
        return new Picture(toHeight, toWidth, out);
    }
}
