package org.tfeff.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.DashPathEffect;
import android.graphics.Paint;
import android.view.View;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.tfeff.demo.core.tasks.Frame;

/**
 * Boxes over a picture that is shown as large as it fits, in the middle: the first model's with a line and their names, the
 * second's dashed.
 */
final class FramesView extends View {
    private static final float[] DASHES = {6, 4};
    private final float density;
    private final Paint line = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final Paint ink = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final Paint ground = new Paint();
    private List<List<Frame>> frames = Collections.emptyList(); // of each model, in pixels of the picture
    private int height; // of the picture
    private int width;

    FramesView(Context context) {
        super(context);
        density = getResources().getDisplayMetrics().density;
        line.setStyle(Paint.Style.STROKE);
        line.setStrokeWidth(2 * density);
        ink.setTextSize(12 * getResources().getDisplayMetrics().scaledDensity);
        ink.setColor(0xffffffff);
        ground.setColor(0xcc141e26);
    }

    /** @param frames of each model, in pixels of a picture of this size. */
    void show(List<List<Frame>> frames, int height, int width) {
        this.frames = new ArrayList<List<Frame>>(frames);
        this.height = height;
        this.width = width;
        StringBuilder spoken = new StringBuilder();
        for (List<Frame> each : frames) {
            for (Frame one : each) {
                spoken.append(String.format(Locale.ROOT, "%s at %.0f, %.0f to %.0f, %.0f. ", one.name, one.sides[0],
                        one.sides[1], one.sides[2], one.sides[3]));
            }
        }
        setContentDescription(spoken);
        invalidate();
    }

    void clear() {
        show(Collections.<List<Frame>>emptyList(), 1, 1);
    }

    @Override
    protected void onDraw(Canvas canvas) {
        float scale = Math.min((float) getWidth() / width, (float) getHeight() / height);
        float left = (getWidth() - scale * width) / 2;
        float top = (getHeight() - scale * height) / 2;
        for (int model = frames.size() - 1; model >= 0; model--) {
            List<Frame> each = frames.get(model);
            float[] dashes = {DASHES[0] * density, DASHES[1] * density};
            line.setPathEffect(model == 0 ? null : new DashPathEffect(dashes, 0));
            for (int i = each.size() - 1; i >= 0; i--) { // the surest on top
                Frame one = each.get(i);
                float x = left + (float) one.sides[0] * scale;
                float y = top + (float) one.sides[1] * scale;
                line.setColor(one.colour);
                canvas.drawRect(x, y, left + (float) one.sides[2] * scale, top + (float) one.sides[3] * scale, line);
                if (model == 0) {
                    name(canvas, one, x, y);
                }
            }
        }
    }

    private void name(Canvas canvas, Frame one, float x, float y) {
        float high = ink.getFontSpacing();
        float above = Math.max(0, y - high - density);
        float from = Math.max(0, Math.min(x, getWidth() - ink.measureText(one.name)));
        canvas.drawRect(from, above, from + ink.measureText(one.name), above + high, ground);
        canvas.drawText(one.name, from, above - ink.getFontMetrics().ascent, ink);
    }
}
