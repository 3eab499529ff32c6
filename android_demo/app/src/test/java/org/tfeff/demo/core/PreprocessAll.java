package org.tfeff.demo.core;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.nio.ByteBuffer;
import java.util.Map;

/**
 * Not a test: tests/demo/test_android_demo.py runs it. For every NAME.rgb of a folder (height and width as 4 bytes each, big
 * end first, then the pixels) and its NAME.json (a record, and `tall_first` beside), writes the pixels into NAME.pixels,
 * the bytes of the input tensor into NAME.input, and where a box of the input lies in the picture into NAME.box.
 */
public final class PreprocessAll {
    private PreprocessAll() {}

    public static void main(String[] arguments) throws Exception {
        for (File file : new File(arguments[0]).listFiles()) {
            if (!file.getName().endsWith(".rgb")) {
                continue;
            }
            ByteBuffer data = ByteBuffer.wrap(Bytes.read(new FileInputStream(file)));
            int height = data.getInt();
            int width = data.getInt();
            byte[] rgb = new byte[data.remaining()];
            data.get(rgb);
            String base = file.getPath().substring(0, file.getPath().length() - 4);
            String json = new String(Bytes.read(new FileInputStream(base + ".json")), "UTF-8");
            Record record = Record.parse(json);
            Preprocessing steps = record.preprocessing;
            boolean tallFirst = Boolean.TRUE.equals(((Map<?, ?>) Json.parse(json)).get("tall_first"));
            byte[] pixels = steps.pixels(new Picture(height, width, rgb), tallFirst);
            ByteBuffer input = ByteBuffer.allocate(record.input.bytes());
            Quantization.store(steps.normalize(pixels), record.input, input);
            write(base + ".pixels", pixels);
            write(base + ".input", input.array());
            StringBuilder box = new StringBuilder();
            for (double side : steps.boxBack(new double[] {1.5, -2, 20.25, 17}, height, width)) {
                box.append(side).append(' ');
            }
            write(base + ".box", box.toString().getBytes("UTF-8"));
        }
    }

    private static void write(String path, byte[] data) throws Exception {
        try (FileOutputStream out = new FileOutputStream(path)) {
            out.write(data);
        }
    }
}
