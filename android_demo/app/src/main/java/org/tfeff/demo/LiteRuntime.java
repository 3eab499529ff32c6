package org.tfeff.demo;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;
import org.tensorflow.lite.TensorFlowLite;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Port;
import org.tfeff.demo.core.Runtime;

/** TensorFlow Lite's interpreter; the only class that names it. */
final class LiteRuntime implements Runtime {
    private static final String SIGNATURE = "serving_default";
    private static final Map<DataType, String> DTYPES = new EnumMap<DataType, String>(DataType.class);

    static {
        DTYPES.put(DataType.INT8, "int8");
        DTYPES.put(DataType.UINT8, "uint8");
        DTYPES.put(DataType.FLOAT32, "float32");
        DTYPES.put(DataType.INT32, "int32");
        DTYPES.put(DataType.INT64, "int64");
    }

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
        private final List<Port> inputs;
        private final List<Port> outputs;

        Opened(Interpreter interpreter) throws DemoException {
            this.interpreter = interpreter;
            inputs = ports(interpreter, true);
            outputs = ports(interpreter, false);
        }

        @Override
        public List<Port> inputs() {
            return inputs;
        }

        @Override
        public List<Port> outputs() {
            return outputs;
        }

        @Override
        public void run(ByteBuffer[] from, ByteBuffer[] to) throws DemoException {
            Map<Integer, Object> into = new HashMap<Integer, Object>();
            for (int i = 0; i < to.length; i++) {
                into.put(i, to[i]);
            }
            try {
                interpreter.runForMultipleInputsOutputs(from, into);
            } catch (RuntimeException error) {
                throw new DemoException("the runtime failed: " + error.getMessage());
            }
        }

        @Override
        public void close() {
            interpreter.close();
        }

        /** By their names in the signature; of a file without one, by those of the tensors. */
        private static List<Port> ports(Interpreter of, boolean inputs) throws DemoException {
            Map<Integer, String> names = new HashMap<Integer, String>();
            if (Arrays.asList(of.getSignatureKeys()).contains(SIGNATURE)) {
                for (String name : inputs ? of.getSignatureInputs(SIGNATURE) : of.getSignatureOutputs(SIGNATURE)) {
                    Tensor tensor = inputs ? of.getInputTensorFromSignature(name, SIGNATURE)
                            : of.getOutputTensorFromSignature(name, SIGNATURE);
                    names.put(tensor.index(), name);
                }
            }
            List<Port> out = new ArrayList<Port>();
            int count = inputs ? of.getInputTensorCount() : of.getOutputTensorCount();
            for (int i = 0; i < count; i++) {
                Tensor tensor = inputs ? of.getInputTensor(i) : of.getOutputTensor(i);
                String name = names.get(tensor.index());
                out.add(port(tensor, name == null ? tensor.name() : name));
            }
            return out;
        }

        private static Port port(Tensor tensor, String name) throws DemoException {
            String dtype = DTYPES.get(tensor.dataType());
            if (dtype == null) {
                throw new DemoException(name + " of the file is " + tensor.dataType() + ", the app takes " + DTYPES.values());
            }
            Tensor.QuantizationParams steps = tensor.quantizationParams();
            return new Port(name, tensor.shape(), dtype, steps.getScale(), steps.getZeroPoint());
        }
    }
}
