package org.tfeff.demo.core;

import java.nio.ByteBuffer;

/** What the app needs of a runtime; `LiteRuntime` is TensorFlow Lite's. */
public interface Runtime {
    /** For the screen and the JSON, such as "tensorflow-lite 2.16.1". */
    String name();

    /** Opens a file held in a direct buffer; throws DemoException when the runtime refuses it. */
    Network open(ByteBuffer file, int threads, boolean xnnpack) throws DemoException;

    /** An opened file, with one input and one output. */
    interface Network {
        TensorSpec input();

        TensorSpec output();

        /** Direct buffers in native order, of the tensors' sizes. */
        void run(ByteBuffer input, ByteBuffer output) throws DemoException;

        void close();
    }
}
