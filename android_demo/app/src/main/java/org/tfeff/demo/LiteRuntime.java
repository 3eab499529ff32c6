package org.tfeff.demo;

import java.nio.ByteBuffer;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;
import org.tensorflow.lite.TensorFlowLite;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Runtime;
import org.tfeff.demo.core.TensorSpec;

/** TensorFlow Lite's interpreter; the only class that names it. */
final class LiteRuntime implements Runtime {
    @Override
    public String name() {
        try {
            return "tensorflow-lite " + TensorFlowLite.runtimeVersion();
        } catch (UnsatisfiedLinkError error) {
            return "tensorflow-lite (not loaded)";
        }
    }

    @Override
    public Network open(ByteBuffer file, int threads, boolean xnnpack) throws DemoException {
        Interpreter.Options options = new Interpreter.Options();
        options.setNumThreads(threads);
        options.setUseXNNPACK(xnnpack);
        Interpreter interpreter = null;
        try {
            interpreter = new Interpreter(file, options);
            if (interpreter.getInputTensorCount() != 1 || interpreter.getOutputTensorCount() != 1) {
                throw new DemoException("the file has " + interpreter.getInputTensorCount() + " inputs and "
                        + interpreter.getOutputTensorCount() + " outputs, the app runs files with one of each");
            }
            return new Opened(interpreter);
        } catch (DemoException error) {
            interpreter.close();
            throw error;
        } catch (RuntimeException | UnsatisfiedLinkError error) {
            if (interpreter != null) {
                interpreter.close();
            }
            throw new DemoException("the runtime refuses the file: " + error.getMessage());
        }
    }

    private static final class Opened implements Network {
        private final Interpreter interpreter;
        private final TensorSpec input;
        private final TensorSpec output;

        Opened(Interpreter interpreter) throws DemoException {
            this.interpreter = interpreter;
            input = spec(interpreter.getInputTensor(0), "input");
            output = spec(interpreter.getOutputTensor(0), "output");
        }

        @Override
        public TensorSpec input() {
            return input;
        }

        @Override
        public TensorSpec output() {
            return output;
        }

        @Override
        public void run(ByteBuffer from, ByteBuffer to) throws DemoException {
            try {
                interpreter.run(from, to);
            } catch (RuntimeException error) {
                throw new DemoException("the runtime failed: " + error.getMessage());
            }
        }

        @Override
        public void close() {
            interpreter.close();
        }

        private static TensorSpec spec(Tensor tensor, String side) throws DemoException {
            DataType type = tensor.dataType();
            String dtype = type == DataType.INT8 ? "int8" : type == DataType.UINT8 ? "uint8"
                    : type == DataType.FLOAT32 ? "float32" : null;
            if (dtype == null) {
                throw new DemoException("the file's " + side + " is " + type + ", the app takes int8, uint8 and float32");
            }
            Tensor.QuantizationParams steps = tensor.quantizationParams();
            return new TensorSpec(tensor.shape(), dtype, steps.getScale(), steps.getZeroPoint());
        }
    }
}
