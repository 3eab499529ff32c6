package org.tfeff.demo;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.media.ExifInterface;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Picture;

/** Image files and bitmaps to pictures, by the rules of `tfeff/data/images.py`. */
final class Pictures {
    private static final long MOST_PIXELS = 50_000_000L;

    private Pictures() {}

    /** Decodes an image file at its full size, upright by its EXIF tag; throws DemoException for what is no clear one. */
    static Picture decode(byte[] file, String name) throws DemoException {
        if (file.length > 24 && file[1] == 'P' && file[2] == 'N' && file[3] == 'G' && file[24] == 16) {
            throw new DemoException(name + ": holds 16 bits a channel; convert it to an 8-bit image");
        }
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeByteArray(file, 0, file.length, options);
        if ((long) options.outWidth * options.outHeight > MOST_PIXELS) {
            throw new DemoException(name + ": " + options.outWidth + " x " + options.outHeight + " is too large for a phone");
        }
        options.inJustDecodeBounds = false;
        options.inPreferredConfig = Bitmap.Config.ARGB_8888;
        options.inScaled = false;
        options.inPremultiplied = false;
        Bitmap bitmap = BitmapFactory.decodeByteArray(file, 0, file.length, options);
        if (bitmap == null) {
            throw new DemoException(name + ": not an image that this phone reads (" + file.length + " bytes)");
        }
        int[] argb = words(bitmap);
        if (bitmap.hasAlpha()) {
            for (int one : argb) {
                if (one >>> 24 != 255) {
                    throw new DemoException(name + ": has transparent pixels; flatten it onto a background of your choice");
                }
            }
        }
        return Picture.ofArgb(bitmap.getHeight(), bitmap.getWidth(), argb).upright(orientation(file));
    }

    /** A camera frame. */
    static Picture of(Bitmap bitmap) {
        return Picture.ofArgb(bitmap.getHeight(), bitmap.getWidth(), words(bitmap));
    }

    /** For the screen, no side longer than `most` pixels. */
    static Bitmap bitmap(Picture picture, int most) {
        int step = Math.max(1, (Math.max(picture.height, picture.width) + most - 1) / most);
        int height = (picture.height + step - 1) / step;
        int width = (picture.width + step - 1) / step;
        int[] argb = new int[height * width];
        for (int i = 0; i < argb.length; i++) {
            int at = ((i / width) * step * picture.width + (i % width) * step) * 3;
            argb[i] = 0xff000000 | (picture.rgb[at] & 255) << 16 | (picture.rgb[at + 1] & 255) << 8
                    | (picture.rgb[at + 2] & 255);
        }
        return Bitmap.createBitmap(argb, width, height, Bitmap.Config.ARGB_8888);
    }

    private static int[] words(Bitmap bitmap) {
        int[] argb = new int[bitmap.getWidth() * bitmap.getHeight()];
        bitmap.getPixels(argb, 0, bitmap.getWidth(), 0, 0, bitmap.getWidth(), bitmap.getHeight());
        return argb;
    }

    private static int orientation(byte[] file) {
        try {
            ExifInterface exif = new ExifInterface(new ByteArrayInputStream(file));
            return exif.getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL);
        } catch (IOException error) {
            return ExifInterface.ORIENTATION_NORMAL; // formats without EXIF
        }
    }
}
