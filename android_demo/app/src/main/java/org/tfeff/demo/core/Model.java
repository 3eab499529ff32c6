package org.tfeff.demo.core;

/** One artifact: the bytes of its file, its record, and where the two came from. */
public final class Model {
    public final String name; // of the file, without .tflite
    public final String place; // "in the app" or the folder it was pushed into
    public final Record record;
    public final byte[] file;
    public final boolean tallFirst; // how the PC's Pillow resizes, see Resize

    /** Checks that record and file belong together; throws DemoException that names both hashes when they do not. */
    public Model(String name, String place, byte[] file, String json, boolean tallFirst) throws DemoException {
        this.name = name;
        this.place = place;
        this.file = file;
        this.tallFirst = tallFirst;
        if (file.length < 8 || file[4] != 'T' || file[5] != 'F' || file[6] != 'L' || file[7] != '3') {
            throw new DemoException(name + ".tflite: not a TFLite file (" + file.length + " bytes)");
        }
        try {
            record = Record.parse(json);
        } catch (DemoException error) {
            throw new DemoException(name + ".json: " + error.getMessage());
        }
        String sha256 = Bytes.sha256(file);
        if (!sha256.equals(record.sha256)) {
            throw new DemoException(name + ": the record was written for another file (sha256 "
                    + Bytes.head(record.sha256) + "), this one is " + Bytes.head(sha256)
                    + "; push the .tflite and the .json of one export");
        }
    }
}
