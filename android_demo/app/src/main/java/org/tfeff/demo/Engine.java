package org.tfeff.demo;

import android.os.Handler;
import android.os.HandlerThread;
import android.os.Looper;
import java.util.ArrayList;
import java.util.List;
import org.tfeff.demo.core.DemoException;
import org.tfeff.demo.core.Model;
import org.tfeff.demo.core.Picture;
import org.tfeff.demo.core.Runtime;
import org.tfeff.demo.core.SelfTest;
import org.tfeff.demo.core.Session;
import org.tfeff.demo.core.Shelf;

/** Opens and runs models on a thread of its own; answers come back on the main thread. */
final class Engine {
    private static final int WINDOW = 100; // timings that the screen's median is over

    /** What the screen hears; `session` has the timings. */
    interface Listener {
        void opened(Session session);

        /** @param runs of the model, and of the one beside where there is one. */
        void ran(List<Run> runs, Picture shown);

        void tested(Session session, SelfTest.Outcome outcome, Session.Result result, Picture shown);

        void failed(String message);
    }

    /** What a model made of a picture. */
    static final class Run {
        final Session session;
        final Session.Result result;

        Run(Session session, Session.Result result) {
            this.session = session;
            this.result = result;
        }
    }

    private final Runtime runtime;
    private final Shelf shelf;
    private final Listener listener;
    private final HandlerThread thread = new HandlerThread("engine");
    private final Handler worker;
    private final Handler main = new Handler(Looper.getMainLooper());
    private Session session; // of the worker
    private Session beside; // runs the same pictures; null where none is wanted
    private volatile boolean busy;
    private volatile boolean closed;

    Engine(Runtime runtime, Shelf shelf, Listener listener) {
        this.runtime = runtime;
        this.shelf = shelf;
        this.listener = listener;
        thread.start();
        worker = new Handler(thread.getLooper());
    }

    Looper looper() {
        return thread.getLooper();
    }

    /** Whether a frame given now would wait; the camera drops those. */
    boolean busy() {
        return busy;
    }

    /** @param other the model that runs beside; null for none. */
    void open(final String name, final String other, final int threads, final boolean xnnpack) {
        post(new Job() {
            @Override
            public void run() throws DemoException {
                drop();
                final Session opened = new Session(runtime, shelf.open(name), threads, xnnpack, WINDOW);
                session = opened;
                if (other != null && !other.equals(name)) {
                    beside = new Session(runtime, shelf.open(other), threads, xnnpack, WINDOW);
                }
                answer(new Runnable() {
                    @Override
                    public void run() {
                        listener.opened(opened);
                    }
                });
            }
        });
    }

    void run(final Picture picture) {
        post(new Job() {
            @Override
            public void run() throws DemoException {
                if (session == null) {
                    return; // the reason was told when the model did not open
                }
                final List<Run> runs = new ArrayList<Run>();
                runs.add(new Run(session, session.run(picture)));
                if (beside != null) {
                    runs.add(new Run(beside, beside.run(picture)));
                }
                answer(new Runnable() {
                    @Override
                    public void run() {
                        listener.ran(runs, picture);
                    }
                });
            }
        });
    }

    /** Changes a number of what answers are made by, for the pictures from now on. */
    void threshold(final String key, final double value) {
        post(new Job() {
            @Override
            public void run() {
                for (Session one : new Session[] {session, beside}) {
                    if (one != null) {
                        one.threshold(key, value);
                    }
                }
            }
        });
    }

    /** Runs the model's own image; `missing` is said when it has none. */
    void selfTest(final String missing) {
        post(new Job() {
            @Override
            public void run() throws DemoException {
                if (session == null) {
                    return;
                }
                final Session by = session;
                Model model = by.model;
                SelfTest test = shelf.selfTest(model);
                byte[] file = shelf.selfTestPicture(model);
                if (test == null || file == null) {
                    throw new DemoException(missing);
                }
                final Picture picture = Pictures.decode(file, model.name + ".selftest.png");
                final Session.Result result = by.run(picture);
                final SelfTest.Outcome outcome = test.compare(result);
                answer(new Runnable() {
                    @Override
                    public void run() {
                        listener.tested(by, outcome, result, picture);
                    }
                });
            }
        });
    }

    /** Closes the model when what is under way is done; no answer comes after this. */
    void close() {
        closed = true;
        worker.post(new Runnable() {
            @Override
            public void run() {
                drop();
                thread.quit();
            }
        });
    }

    private interface Job {
        void run() throws DemoException;
    }

    private void post(final Job job) {
        busy = true;
        worker.post(new Runnable() {
            @Override
            public void run() {
                try {
                    job.run();
                } catch (DemoException error) {
                    fail(error.getMessage());
                } catch (OutOfMemoryError error) {
                    fail("not enough memory for this image or model");
                } finally {
                    busy = false;
                }
            }
        });
    }

    private void drop() {
        for (Session one : new Session[] {session, beside}) {
            if (one != null) {
                one.close();
            }
        }
        session = null;
        beside = null;
    }

    private void fail(final String message) {
        answer(new Runnable() {
            @Override
            public void run() {
                listener.failed(message);
            }
        });
    }

    private void answer(final Runnable what) {
        main.post(new Runnable() {
            @Override
            public void run() {
                if (!closed) {
                    what.run();
                }
            }
        });
    }
}
