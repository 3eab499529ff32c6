package org.tfeff.demo.core;

import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Takes typed values out of parsed JSON; every error names the key and says what stands there. */
public final class Keys {
    private Keys() {}

    /** Any parsed value that must be an object; `where` is what errors call it. */
    public static Map<?, ?> object(Object value, String where) throws DemoException {
        if (!(value instanceof Map)) {
            throw new DemoException(where + ": not a JSON object");
        }
        return (Map<?, ?>) value;
    }

    static Map<?, ?> map(Map<?, ?> from, String key, String where) throws DemoException {
        Object value = from.get(key);
        if (!(value instanceof Map)) {
            throw wrong(where, key, "an object", value);
        }
        return (Map<?, ?>) value;
    }

    public static List<?> list(Map<?, ?> from, String key, String where) throws DemoException {
        Object value = from.get(key);
        if (!(value instanceof List)) {
            throw wrong(where, key, "a list", value);
        }
        return (List<?>) value;
    }

    public static String string(Map<?, ?> from, String key, String where) throws DemoException {
        Object value = from.get(key);
        if (!(value instanceof String)) {
            throw wrong(where, key, "text", value);
        }
        return (String) value;
    }

    public static String oneOf(Map<?, ?> from, String key, String where, String... allowed) throws DemoException {
        Object value = from.get(key);
        if (!(value instanceof String) || !Arrays.asList(allowed).contains(value)) {
            throw wrong(where, key, "one of " + Arrays.toString(allowed), value);
        }
        return (String) value;
    }

    public static double number(Map<?, ?> from, String key, String where) throws DemoException {
        Object value = from.get(key);
        if (!(value instanceof Double)) {
            throw wrong(where, key, "a number", value);
        }
        return (Double) value;
    }

    static int integer(Map<?, ?> from, String key, String where) throws DemoException {
        double value = number(from, key, where);
        if (value != (int) value) {
            throw wrong(where, key, "a whole number", value);
        }
        return (int) value;
    }

    static int positive(Map<?, ?> from, String key, String where) throws DemoException {
        int value = integer(from, key, where);
        if (value < 1) {
            throw wrong(where, key, "at least 1", value);
        }
        return value;
    }

    private static DemoException wrong(String where, String key, String wanted, Object found) {
        String text = String.valueOf(found);
        text = text.length() > 60 ? text.substring(0, 60) + "..." : text;
        return new DemoException(where + "." + key + ": " + wanted + " expected, found "
                + (found == null ? "nothing" : text));
    }
}
