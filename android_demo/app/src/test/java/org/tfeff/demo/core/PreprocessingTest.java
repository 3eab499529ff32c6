package org.tfeff.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Map;
import org.junit.Test;

/** What Pillow gave for the same pixels; tests/demo/test_android_demo.py compares 50 images more. */
public final class PreprocessingTest {
    /** 5 x 7 pixels, (37 x^2 + 91 y + 53 c + 17 x y) mod 256. */
    private static Picture sample() {
        byte[] rgb = new byte[5 * 7 * 3];
        for (int y = 0, at = 0; y < 5; y++) {
            for (int x = 0; x < 7; x++) {
                for (int c = 0; c < 3; c++) {
                    rgb[at++] = (byte) (x * x * 37 + y * 91 + c * 53 + x * y * 17);
                }
            }
        }
        return new Picture(5, 7, rgb);
    }

    @Test
    public void resizesAsPillowDoes() {
        String[] pillow = {
            "6884a4876d9d9b7b737b74948d71a08b8f82",
            "00356a11467b2f649976abe07aafe44d82b74f84b9659a8996cb1764995934699e34699e4a7fb46095ca5085ba68689d"
                    + "9e4176a6497e9b657c759c6d8b7073a2457a75aa9690a4b1a497cc5677ac65588dba396ecb497ebc598e87689db66673"
                    + "e3614db6eb20d69740f33f74ac9bd081b6eb699ed381b6ebac9bd0f33f74d69740b6eb20407561667a878a7cb14c6da2"
                    + "6a5d92ce4d82796ca16a8b8eb8ab3aa4b87189beaa386da263669b8f6095586fa47171a6c6699e904a7f785e6b88b364"
                    + "72a7995c91c66ca1d69c5c91ce1a4f9d8cc187bcf185baefb24479ae295e6785ba497eb3386da2",
            "174c816a9fd45f949562975f6fa4d9635085c93166ad4f84d39a499a9cd19a9cd1d39a49366ba0604d827f6c6e8bc087"
                    + "9a62979798cda252874f78ad",
            "877b95",
            "00356a255a8f94c9fe4d82b75085ba9dd20734699e1e5388497eb3689dd27c5c9185659a82b7427454895186bb85baef"
                    + "20558acb1d52dd2f64568ba3e0316683b87cc184b9497eb3a84f84c46ba09b5e93d98043b6eb20fd32678ec3f8699ed3"
                    + "8ec3f8fd3267b6eb205a8f53ab6ea3457aafb85f94588dc2d1943b93c88b1b5085758ec3194e83ea3c713f578ca4d92b"
                    + "70a5da4e83b8b13b705e93c8ab8bc097215678ad8c4d82b76ca1d6d50a3f88bdf285baefcc01365d92c7386da2",
        };
        int[][] sizes = {{2, 3}, {7, 11}, {5, 4}, {1, 1}, {9, 7}};
        for (int i = 0; i < sizes.length; i++) {
            Picture to = Resize.bilinear(sample(), sizes[i][0], sizes[i][1], true);
            assertEquals(sizes[i][0] + " x " + sizes[i][1], pillow[i], Bytes.hex(to.rgb));
        }
    }

    @Test
    public void theOrderOfTheAxesIsThatOfPillowsVersion() {
        assertEquals("Pillow 13", "4f847f7381a37185ba6580b595568b9c669b987e7f998468a4706b578c8792698b856ca16682b7b172a7895c91917d78939d7977a09b", Bytes.hex(Resize.bilinear(sample(), 2, 9, true).rgb));
        assertEquals("Pillow 12", "4f847f7382a37185ba6580b595568b9c659a987e7f988467a4706b578c87926a8b856ca16681b6b172a78a5d92927d78939e7977a09b", Bytes.hex(Resize.bilinear(sample(), 2, 9, false).rgb));
    }

    @Test
    public void keepsPixelsWhereNothingChanges() {
        assertArrayEquals(sample().rgb, Resize.bilinear(sample(), 5, 7, true).rgb);
    }

    private static Preprocessing read(String... changes) throws DemoException {
        Map<?, ?> record = (Map<?, ?>) Json.parse(Samples.record1(changes));
        return new Preprocessing((Map<?, ?>) record.get("preprocessing"));
    }

    @Test
    public void cutsTheCentreOutAndLeavesTheOddPixelBelowAndRight() throws Exception {
        Preprocessing steps = read("'height': 2, 'width': 2, 'filter'", "'height': 5, 'width': 7, 'filter'",
                "'gray', 'mean': [10], 'std': [20]", "'bgr', 'mean': [1, 2, 3], 'std': [1, 1, 1]");
        byte[] rgb = sample().rgb;
        byte[] found = steps.pixels(sample(), true); // (5 - 2) / 2 = 1, (7 - 2) / 2 = 2
        for (int c = 0; c < 3; c++) {
            assertEquals(rgb[(1 * 7 + 2) * 3 + c], found[2 - c]);
            assertEquals(rgb[(2 * 7 + 3) * 3 + c], found[9 + 2 - c]);
        }
    }

    @Test
    public void normalizesPerChannelInFloat32() throws Exception {
        Preprocessing steps = read("'gray', 'mean': [10], 'std': [20]",
                "'rgb', 'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375]");
        float[] found = steps.normalize(new byte[] {(byte) 200, 0, (byte) 255});
        assertArrayEquals(new float[] {1.3070467f, -2.0357144f, 2.64f}, found, 1e-6f);
    }

    @Test
    public void refusalsNameTheKey() throws Exception {
        String[][] bad = {
            {"'bilinear'", "'bicubic'", "preprocessing.resize.filter", "bicubic"},
            {"'exact'", "'stretch'", "preprocessing.resize.mode", "stretch"},
            {"'gray'", "'cmyk'", "preprocessing.colour", "cmyk"},
            {"'gray'", "'rgb'", "preprocessing.mean", "1 values"},
            {"'std': [20]", "'std': [0]", "preprocessing.std", "above 0"},
            {"'center', 'height': 2", "'center', 'height': 3", "cannot cut", "3 x 2"},
            {"'mode': 'exact', 'height': 2", "'mode': 'exact', 'height': 2.5", "resize.height", "whole"},
        };
        for (String[] one : bad) {
            try {
                read(one[0], one[1]);
            } catch (DemoException error) {
                assertTrue(error.getMessage(), error.getMessage().contains(one[2]) && error.getMessage().contains(one[3]));
                continue;
            }
            fail("taken: " + one[1]);
        }
    }

    @Test
    public void turnsUprightByEveryExifOrientation() {
        // ImageOps.exif_transpose of Pillow on the 2 x 3 picture 0 1 2 / 3 4 5, read row by row
        String[] pillow = {"012345", "210543", "543210", "345012", "031425", "304152", "524130", "251403"};
        int[] heights = {2, 2, 2, 2, 3, 3, 3, 3};
        byte[] rgb = new byte[18];
        for (int i = 0; i < 18; i++) {
            rgb[i] = (byte) (i / 3);
        }
        for (int orientation = 1; orientation <= 8; orientation++) {
            Picture found = new Picture(2, 3, rgb).upright(orientation);
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 18; i += 3) {
                text.append(found.rgb[i]);
            }
            assertEquals(heights[orientation - 1], found.height);
            assertEquals("orientation " + orientation, pillow[orientation - 1], text.toString());
        }
    }
}
