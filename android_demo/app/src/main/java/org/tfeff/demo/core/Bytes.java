package org.tfeff.demo.core;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** Reading and naming bytes. */
public final class Bytes {
    private Bytes() {}

    /** Reads a stream to its end and closes it. */
    public static byte[] read(InputStream from) throws IOException {
        try {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            byte[] part = new byte[1 << 16];
            for (int n = from.read(part); n >= 0; n = from.read(part)) {
                out.write(part, 0, n);
            }
            return out.toByteArray();
        } finally {
            from.close();
        }
    }

    public static String sha256(byte[] data) {
        try {
            return hex(MessageDigest.getInstance("SHA-256").digest(data));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Java and every Android has it
        }
    }

    public static String hex(byte[] data) {
        StringBuilder out = new StringBuilder();
        for (byte one : data) {
            out.append(Character.forDigit((one >> 4) & 15, 16)).append(Character.forDigit(one & 15, 16));
        }
        return out.toString();
    }

    /** Hex text to bytes; throws DemoException for anything else. */
    public static byte[] unhex(String text) throws DemoException {
        byte[] out = new byte[text.length() / 2];
        for (int i = 0; i < text.length(); i++) {
            int digit = Character.digit(text.charAt(i), 16);
            if (digit < 0 || text.length() % 2 != 0) {
                throw new DemoException("not hexadecimal: " + head(text));
            }
            out[i / 2] = (byte) (out[i / 2] << 4 | digit);
        }
        return out;
    }

    static String head(String text) {
        return text.length() > 12 ? text.substring(0, 12) : text;
    }
}
