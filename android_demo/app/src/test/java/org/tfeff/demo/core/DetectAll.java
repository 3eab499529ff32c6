package org.tfeff.demo.core;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.tfeff.demo.core.tasks.Frame;

/**
 * Not a test: tests/demo/test_boxes.py runs it. In a folder with `model.tflite`, its record `model.json` and, of every picture,
 * NAME.rgb (height and width as 4 bytes each, big end first, then the pixels) and NAME.outputs (what the file gives for it,
 * the bytes of all outputs in the record's order), writes what the app fed into NAME.fed and the boxes that it draws into
 * NAME.frames: a line each with x1 y1 x2 y2 in pixels of the picture, the score and the name.
 */
public final class DetectAll {
    private DetectAll() {}

    public static void main(String[] arguments) throws Exception {
        File folder = new File(arguments[0]);
        byte[] file = read(new File(folder, "model.tflite"));
        String json = new String(read(new File(folder, "model.json")), "UTF-8");
        Model model = new Model("model", "in a test", file, json, Boolean.parseBoolean(arguments[1]));
        Samples.FakeRuntime runtime = new Samples.FakeRuntime();
        runtime.input = model.record.input;
        runtime.outputs = new ArrayList<Port>(model.record.outputs);
        Session session = new Session(runtime, model, 1, true, 10);
        for (File one : folder.listFiles()) {
            if (!one.getName().endsWith(".rgb")) {
                continue;
            }
            ByteBuffer data = ByteBuffer.wrap(read(one));
            int height = data.getInt();
            int width = data.getInt();
            byte[] rgb = new byte[data.remaining()];
            data.get(rgb);
            String base = one.getPath().substring(0, one.getPath().length() - 4);
            byte[] outputs = read(new File(base + ".outputs"));
            runtime.answers.clear();
            int from = 0;
            for (Port port : model.record.outputs) {
                runtime.answers.add(Arrays.copyOfRange(outputs, from, from + port.bytes()));
                from += port.bytes();
            }
            Session.Result result = session.run(new Picture(height, width, rgb));
            write(base + ".fed", runtime.fed);
            StringBuilder text = new StringBuilder();
            List<Frame> frames = result.frames(Double.parseDouble(arguments[2]));
            for (Frame frame : frames) {
                for (double side : frame.sides) {
                    text.append(side).append(' ');
                }
                text.append(frame.score).append(' ').append(frame.name).append('\n');
            }
            write(base + ".frames", text.toString().getBytes("UTF-8"));
        }
    }

    private static byte[] read(File file) throws Exception {
        try (FileInputStream in = new FileInputStream(file)) {
            return Bytes.read(in);
        }
    }

    private static void write(String path, byte[] data) throws Exception {
        try (FileOutputStream out = new FileOutputStream(path)) {
            out.write(data);
        }
    }
}
