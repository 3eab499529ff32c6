package org.tfeff.demo.core;

import java.nio.ByteBuffer;
import java.util.List;

/** What the app needs of a runtime; `LiteRuntime` is TensorFlow Lite's. */
public interface Runtime {
    /** For the screen and the JSON, such as "tensorflow-lite 2.16.1". */
    String name();

    /** Opens a file held in a direct buffer; throws DemoException when the runtime refuses it. */
    Network open(ByteBuffer file, int threads, boolean xnnpack) throws DemoException;

    /** An opened file. */
    interface Network {
        /** In the order of the file, as are `outputs` and the buffers of `run`. */
        List<Port> inputs();

        List<Port> outputs();

        /** Direct buffers in native order, of the tensors' sizes. */
        void run(ByteBuffer[] inputs, ByteBuffer[] outputs) throws DemoException;

        void close();
    }
}
