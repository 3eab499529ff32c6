package org.tfeff.demo.core;

/** Something that the user can mend; the message says what is wrong and where. */
public final class DemoException extends Exception {
    private static final long serialVersionUID = 1L;

    public DemoException(String message) {
        super(message);
    }
}
